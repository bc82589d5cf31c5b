import Basics

/// Which Instances are wanted: all that is given must hold.
public struct BoardFilter: Sendable, Hashable {
  public var org: Slug?
  public var host: Slug?
  public var status: Status?
  /// The version of OpenClaw, as its Gateway says it.
  public var version: String?
  /// The link of the chain to look at.
  public var cause: ChainLink?
  /// What its name begins with.
  public var name: String?

  public init(
    org: Slug? = nil, host: Slug? = nil, status: Status? = nil, version: String? = nil, cause: ChainLink? = nil,
    name: String? = nil
  ) {
    self.org = org
    self.host = host
    self.status = status
    self.version = version
    self.cause = cause
    self.name = name
  }

  /// The same without the status: what its counts are taken of, so that they show what else there is.
  public var ofAnyStatus: BoardFilter {
    var filter = self
    filter.status = nil
    return filter
  }

  func takes(_ row: BoardRow) -> Bool {
    (status == nil || row.status == status) && (cause == nil || row.cause == cause)
      && (org == nil || row.org == org?.text) && (host == nil || row.host == host?.text)
      && (version == nil || row.version == version) && (name.map { row.slug.hasPrefix($0) } ?? true)
  }
}

/// What the board sorts and filters by, of one Instance.
struct BoardRow: Sendable, Equatable {
  let id: String
  let slug: String
  let org: String
  let host: String
  let asked: Instance.State
  let version: String?
  let status: Status
  let cause: ChainLink?

  /// Worst first, and the same order every time. Severities have one digit, so that text sorts as they do.
  var worstFirst: [String] { [String(9 - status.severity), slug] }
}

public enum BoardSort: String, Sendable, CaseIterable {
  case slug
  case worst
}

extension StatusReading {
  /// The one place along the chain that explains the status; nil when nothing is broken.
  var cause: ChainLink? { link }
}
