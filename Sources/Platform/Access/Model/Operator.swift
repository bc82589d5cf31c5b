import Basics

public typealias OperatorID = ID<Operator>

/// A person who works with this deployment.
public struct Operator: Sendable, Hashable {
  public let id: OperatorID
  /// The login name.
  public let name: Slug
  public let role: OperatorRole
  public let state: OperatorState
  public let hasPassword: Bool
  public let createdAt: Timestamp
}

/// What an operator, or a token, may do: see `Policy` for the table.
public enum OperatorRole: String, Sendable, CaseIterable, Codable {
  case viewer
  case owner

  /// True when this role gives nothing that `other` does not give.
  public func isWithin(_ other: OperatorRole) -> Bool { self == .viewer || other == .owner }
}

/// invited → active → suspended. An invited operator becomes active by the first link; nobody comes back from
/// suspended: a person who returns is invited under another name, so that the evidence stays unambiguous.
public enum OperatorState: String, Sendable, CaseIterable, Codable {
  case invited
  case active
  case suspended
}

/// A place where an operator is signed in. The secret of it is only with the browser.
public struct Session: Sendable, Hashable {
  public let id: SessionID
  public let operatorID: OperatorID
  public let createdAt: Timestamp
  /// The last use, to the minute.
  public let seenAt: Timestamp
  /// What the browser says it is, cut at 120 characters; shown to the operator only.
  public let client: String
}

public typealias SessionID = ID<Session>

/// A key for programs. The secret of it was shown once.
public struct APIToken: Sendable, Hashable {
  public let id: TokenID
  public let name: Slug
  /// Who made it: the token never has more rights than this operator.
  public let operatorID: OperatorID
  public let role: OperatorRole
  public let createdAt: Timestamp
  public let expiresAt: Timestamp
  /// The last use, to the minute.
  public let usedAt: Timestamp?
  public let isRevoked: Bool
}

public typealias TokenID = ID<APIToken>
