import Link

/// Whose handshake goes on when many Connectors dial at once: a value.
///
/// Handshakes that all go on at once all take longer than a Connector waits, and then the work was for nothing: the
/// fleet dials again, and again. So only so many go on at a time, and the others wait in the order they came. Beyond a
/// number that wait nobody is let in: the kernel keeps the rest at the door, where they cost nothing.
///
/// | | while fewer go on than may | else |
/// |---|---|---|
/// | asks | its turn has come | waits |
/// | ends | its place is free, and goes to whoever waits longest | as well |
/// | ends while it waits | - | is forgotten |
struct HandshakeTurns: Sendable {
  typealias Number = UInt64

  let goingMax: Int
  let waitingMax: Int
  private(set) var going: Set<Number> = []
  private(set) var waiting: [Number] = []
  private var last: Number = 0

  init(goingMax: Int = LinkLimits.handshakesMax, waitingMax: Int = LinkLimits.handshakesWaitingMax) {
    self.goingMax = goingMax
    self.waitingMax = waitingMax
  }

  /// Nobody else is to be let in for now.
  var isFull: Bool { waiting.count >= waitingMax }

  /// Asks for a turn.
  ///
  /// - Returns: the number of the turn, and whether it has come.
  mutating func ask() -> (number: Number, hasCome: Bool) {
    last += 1
    if going.count < goingMax {
      going.insert(last)
      return (last, true)
    }
    waiting.append(last)
    return (last, false)
  }

  /// Ends a turn, or the wait for it. Nothing happens when it had ended.
  ///
  /// - Returns: whose turn has come by that.
  mutating func end(_ number: Number) -> Number? {
    guard going.remove(number) != nil else {
      waiting.removeAll { $0 == number }
      return nil
    }
    guard !waiting.isEmpty else { return nil }
    let next = waiting.removeFirst()
    going.insert(next)
    return next
  }
}
