import Addresses
import Basics

/// The kinds of control paths: how the control plane reaches an Instance's Gateway WebSocket.
public enum PathKind: String, Codable, Sendable, CaseIterable {
  /// The Host's own link.
  case gateway = "aw-gateway"
  /// A port that OpenSSH forwards to the Host: the legacy slice-0 path.
  case ssh = "ssh-forward"
  /// The Instance's public hostname, which cloudflared serves and Cloudflare Access guards.
  case cloudflared

  /// - Throws: `pathKindUnknown` with the kinds that there are.
  public static func named(_ text: String) throws(AWError) -> PathKind {
    guard let kind = PathKind(rawValue: text) else {
      throw AWError(
        .pathKindUnknown, "There is no control path of the kind \(text.quoted).",
        next: "Use one of: \(allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    return kind
  }
}

/// The control path of one Instance, as it is recorded. It names secrets, and never holds one.
public enum ControlPath: Sendable, Equatable {
  case gateway
  case ssh(SSHServer, key: String)
  /// With the vault's name of the tunnel's credentials when the Host's Connector runs cloudflared for it.
  case cloudflared(PublicHostname, client: AccessReferences, tunnel: String?)

  public var kind: PathKind {
    switch self {
    case .gateway: .gateway
    case .ssh: .ssh
    case .cloudflared: .cloudflared
    }
  }

  /// Where it goes, for people; nil for the link, which the Host makes.
  public var target: String? {
    switch self {
    case .gateway: nil
    case .ssh(let server, _): server.text
    case .cloudflared(let hostname, _, _): hostname.text
    }
  }

  /// The vault's names of what it needs.
  public var references: [String] {
    switch self {
    case .gateway: []
    case .ssh(_, let key): [key]
    case .cloudflared(_, let client, let tunnel): [client.id, client.secret] + (tunnel.map { [$0] } ?? [])
    }
  }

  /// The vault's name of the credentials of the tunnel that the Host serves; nil when somebody else does.
  public var tunnel: String? { if case .cloudflared(_, _, let tunnel) = self { tunnel } else { nil } }
}

/// The vault's names of the two halves of a Cloudflare Access service token.
public struct AccessReferences: Codable, Sendable, Equatable {
  public let id: String
  public let secret: String

  public init(id: String, secret: String) {
    self.id = id
    self.secret = secret
  }
}

/// As it stands in the database: its kind, and the members of that kind.
extension ControlPath: Codable {
  private enum Keys: String, CodingKey {
    case kind, server, key, hostname, client, tunnel
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: Keys.self)
    switch try members.decode(PathKind.self, forKey: .kind) {
    case .gateway: self = .gateway
    case .ssh:
      self = .ssh(
        try members.decode(SSHServer.self, forKey: .server), key: try members.decode(String.self, forKey: .key))
    case .cloudflared:
      self = .cloudflared(
        try members.decode(PublicHostname.self, forKey: .hostname),
        client: try members.decode(AccessReferences.self, forKey: .client),
        tunnel: try members.decodeIfPresent(String.self, forKey: .tunnel))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: Keys.self)
    try members.encode(kind, forKey: .kind)
    switch self {
    case .gateway: break
    case .ssh(let server, let key):
      try members.encode(server, forKey: .server)
      try members.encode(key, forKey: .key)
    case .cloudflared(let hostname, let client, let tunnel):
      try members.encode(hostname, forKey: .hostname)
      try members.encode(client, forKey: .client)
      try members.encodeIfPresent(tunnel, forKey: .tunnel)
    }
  }
}
