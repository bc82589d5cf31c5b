import Basics

public enum EndpointTag {}
public typealias EndpointID = ID<EndpointTag>

/// What kind of receiver an endpoint is.
public enum EndpointKind: String, Codable, Sendable, CaseIterable {
  case webhook
  case alertmanager
  case pagerduty
  case slack
  case email
  case command
}

/// Where notifications go.
public struct Endpoint: Codable, Sendable, Equatable {
  public let id: EndpointID
  public var name: Slug
  public var kind: EndpointKind
  /// The Org whose alerts it may get, by id; nil for any.
  public var org: String?
  /// The URL of a webhook, an Alertmanager or PagerDuty; `smtp://host:port`; the absolute path of a command. Slack's
  /// URL is a secret, so its target is empty.
  public var target: String
  /// What else the kind needs; nothing secret.
  public var settings: JSONValue
  /// References to its secrets in the vault, newest first. Two overlap while a signing key rotates.
  public var secrets: [String]
  /// Private address ranges that may be dialled for it, as CIDR.
  public var allowsPrivate: [String]
  public var isEnabled: Bool

  public init(
    id: EndpointID, name: Slug, kind: EndpointKind, org: String? = nil, target: String, settings: JSONValue = [:],
    secrets: [String] = [], allowsPrivate: [String] = [], isEnabled: Bool = true
  ) {
    self.id = id
    self.name = name
    self.kind = kind
    self.org = org
    self.target = target
    self.settings = settings
    self.secrets = secrets
    self.allowsPrivate = allowsPrivate
    self.isEnabled = isEnabled
  }
}
