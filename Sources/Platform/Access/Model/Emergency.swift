import Basics

public typealias EmergencyID = ID<Emergency>

/// A time in which one person may do alone what needs two. It stands in for the second person, and for nothing else.
public struct Emergency: Codable, Sendable, Equatable {
  public let id: EmergencyID
  /// The login name of the one person.
  public let account: Slug
  public let reason: String
  public let openedAt: Timestamp
  public let until: Timestamp
  /// Digests of what was done in it.
  public var acts: [String]
  public var reviewedAt: Timestamp?
  public var reviewer: Slug?
  public var note: String?

  public init(id: EmergencyID, account: Slug, reason: String, at now: Timestamp, minutes: Int) {
    (self.id, self.account, self.reason, openedAt, acts) = (id, account, reason, now, [])
    until = now.advanced(by: .seconds(Int64(minutes) * 60))
  }

  /// Whether `account` may act alone by it. A review ends it.
  public func covers(_ account: Slug, at now: Timestamp) -> Bool {
    self.account == account && now >= openedAt && now < until && reviewedAt == nil
  }
}
