import Basics
import Web

/// A one-time link as the API shows it. Its secret is in the answer that made it, and nowhere else.
public struct IntakeLinkView: Codable, Sendable, Equatable {
  public enum State: String, Codable, Sendable, CaseIterable {
    case open
    case used
    case replaced
    case expired
  }

  public let id: String
  public let org: Slug
  public let surface: CredentialSurface
  public let title: String
  public let `class`: CredentialClass
  public let from: String
  public let purpose: String
  public let askedBy: String
  public let askedAt: Timestamp
  public let expiresAt: Timestamp
  public let state: State
  public let usedAt: Timestamp?
  /// The version of the credential that it brought.
  public let version: Int?

  init(_ link: IntakeLink, org: Slug, at now: Timestamp) {
    self.org = org
    (id, surface, title) = (link.id.text, link.surface, link.surface.title)
    `class` = link.kind
    (from, purpose, askedBy) = (link.from, link.purpose, link.askedBy)
    (askedAt, expiresAt) = (link.askedAt, link.expiresAt)
    (usedAt, version) = (link.use?.at, link.use?.version)
    state =
      switch IntakeDecision.decide(link, envelope: nil, at: now) {
      case .usable: .open
      case .reused, .repeated: .used
      case .replaced: .replaced
      case .expired: .expired
      }
  }

  private static let members: [String: JSONValue] = [
    "id": JSONSchema.id, "org": JSONSchema.slug, "surface": CredentialView.surfaceSchema, "title": JSONSchema.text,
    "class": CredentialView.classSchema, "from": JSONSchema.text, "purpose": JSONSchema.text,
    "askedBy": JSONSchema.text, "askedAt": JSONSchema.time,
    "expiresAt": JSONSchema.time, "state": JSONSchema.oneOf(State.allCases.map(\.rawValue)),
    "usedAt": JSONSchema.time, "version": JSONSchema.integer,
  ]

  static let schema = JSONSchema.object(members, optional: ["usedAt", "version"])
}

/// What making a one-time link answers: once.
public struct IntakeRequestedView: Codable, Sendable {
  public let link: IntakeLinkView
  /// Its secret stands behind the `#`, which no server sees.
  public let url: String

  static let schema = JSONSchema.object(["link": IntakeLinkView.schema, "url": JSONSchema.text])
}
