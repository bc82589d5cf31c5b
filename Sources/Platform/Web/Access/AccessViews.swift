import Access
import Basics

/// An operator as the API shows one.
public struct OperatorView: Codable, Sendable, Equatable {
  public let name: Slug
  public let role: OperatorRole
  public let state: OperatorState
  public let createdAt: Timestamp

  init(_ person: Operator) {
    name = person.name
    role = person.role
    state = person.state
    createdAt = person.createdAt
  }

  static let schema = JSONSchema.object([
    "name": JSONSchema.slug, "role": JSONSchema.oneOf(OperatorRole.allCases.map(\.rawValue)),
    "state": JSONSchema.oneOf(OperatorState.allCases.map(\.rawValue)), "createdAt": JSONSchema.time,
  ])
}

/// A one-time link, shown once.
public struct LinkView: Codable, Sendable {
  public let `operator`: OperatorView
  /// The whole URL. Its secret stands behind the `#`, so that no server log sees it.
  public let url: String
  public let expiresAt: Timestamp

  init(_ link: OneTimeLink, publicURL: String) {
    `operator` = OperatorView(link.operator)
    url = SignInAddress.link(link.secret, publicURL: publicURL)
    expiresAt = link.expiresAt
  }

  static let schema = JSONSchema.object([
    "operator": OperatorView.schema, "url": JSONSchema.text, "expiresAt": JSONSchema.time,
  ])
}

/// Where one-time links lead.
public enum SignInAddress {
  public static func link(_ secret: Secret, publicURL: String) -> String {
    secret.withText { "\(publicURL)/sign-in/link#\($0)" }
  }
}

/// An API token as the API shows one: never its secret.
public struct TokenView: Codable, Sendable, Equatable {
  public let id: TokenID
  public let name: Slug
  public let role: OperatorRole
  public let createdAt: Timestamp
  public let expiresAt: Timestamp
  public let usedAt: Timestamp?
  public let revoked: Bool

  init(_ token: APIToken) {
    id = token.id
    name = token.name
    role = token.role
    createdAt = token.createdAt
    expiresAt = token.expiresAt
    usedAt = token.usedAt
    revoked = token.isRevoked
  }

  static let schema = JSONSchema.object(
    [
      "id": JSONSchema.id, "name": JSONSchema.slug, "role": JSONSchema.oneOf(OperatorRole.allCases.map(\.rawValue)),
      "createdAt": JSONSchema.time, "expiresAt": JSONSchema.time, "usedAt": JSONSchema.time, "revoked": JSONSchema.bool,
    ], optional: ["usedAt"])
}
