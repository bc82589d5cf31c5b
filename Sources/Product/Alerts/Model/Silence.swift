import Basics

public enum SilenceTag {}
public typealias SilenceID = ID<SilenceTag>

/// A time in which some alerts are not told. They are still opened, classified and shown; what is told already gets its
/// end told.
public struct Silence: Codable, Sendable, Equatable {
  public enum Sort: String, Codable, Sendable, CaseIterable {
    /// Somebody knows.
    case silence
    /// Work that was announced.
    case maintenance
  }

  public let id: SilenceID
  public var sort: Sort
  public var matchers: Matchers
  public var startsAt: Timestamp
  public var endsAt: Timestamp
  /// Why, for whoever looks at three in the morning.
  public var reason: String
  /// Who made it, as the evidence names actors.
  public var by: String

  public init(
    id: SilenceID, sort: Sort, matchers: Matchers, startsAt: Timestamp, endsAt: Timestamp, reason: String, by: String
  ) {
    self.id = id
    self.sort = sort
    self.matchers = matchers
    self.startsAt = startsAt
    self.endsAt = endsAt
    self.reason = reason
    self.by = by
  }

  func isActive(at now: Timestamp) -> Bool { startsAt <= now && now < endsAt }

  func mutes(_ alert: NotifiedAlert, at now: Timestamp) -> Bool { isActive(at: now) && matchers.take(.init(alert)) }
}
