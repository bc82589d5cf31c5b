import Basics

/// What one look at an Instance's status adds to what was recorded and told of it.
struct StatusNews: Sendable, Equatable {
  let from: Status
  let reading: StatusReading
  /// Of the status that shows: for the evidence log.
  let change: Flapping.News
  /// Of the status that people are told of; nil when there is nothing new.
  let hard: Status?
  let isFlapping: Bool

  /// Nothing has to be written for anybody.
  var isEmpty: Bool { change == .none && hard == nil }
}

extension StatusEvidence {
  /// Takes one look into account. Not called while the watch doubts itself: then no single Instance's change is news.
  ///
  /// - Parameter isHeld: people are told of something larger instead: what they were told of this one stays.
  mutating func look(_ reading: StatusReading, at now: Timestamp, isHeld: Bool = false) -> StatusNews {
    // An Instance of which nothing was recorded yet is one that AW does not know.
    let before = announced?.status ?? .unknown
    var flapping = flapping ?? Flapping()
    let change = flapping.look(changed: before != reading.status, at: now)
    // While a status goes back and forth people are told that, and nothing else.
    var hard = hard ?? HardStatus()
    let told = flapping.isFlapping || isHeld ? nil : hard.look(reading.status, at: now)
    self.flapping = flapping
    self.hard = hard
    if before != reading.status { announced = .init(status: reading.status, at: now) }
    return StatusNews(from: before, reading: reading, change: change, hard: told, isFlapping: flapping.isFlapping)
  }
}
