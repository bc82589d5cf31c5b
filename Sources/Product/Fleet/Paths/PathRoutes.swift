import Access
import Basics
import Evidence
import Paths
import Web

/// The control path of an Instance, without its secrets.
public struct PathView: Codable, Sendable, Equatable {
  public let kind: PathKind
  /// Where it goes: `aw@10.0.0.7:22`, `acme.example.com:443`; nil for the link.
  public let target: String?
  /// The vault's names of what it needs.
  public let references: [String]
  /// Of ssh: by which keys the server is known.
  public let hostKeys: [String]

  /// `ssh-forward, aw@10.0.0.7:22`.
  public var words: String { kind.rawValue + (target.map { ", \($0)" } ?? "") }

  init(_ path: ControlPath) {
    kind = path.kind
    target = path.target
    references = path.references
    hostKeys = if case .ssh(let server, _) = path { server.fingerprints } else { [] }
  }

  static let schema = JSONSchema.object(
    [
      "kind": JSONSchema.oneOf(PathKind.allCases.map(\.rawValue)), "target": JSONSchema.text,
      "references": JSONSchema.array(of: JSONSchema.text), "hostKeys": JSONSchema.array(of: JSONSchema.text),
    ], optional: ["target"])
}

/// The path in use, with what the newest check of it showed.
public struct PathStateView: Codable, Sendable, Equatable {
  public let path: PathView
  /// Nil until it was looked at.
  public let check: CheckView?

  static let schema = JSONSchema.object(
    ["path": PathView.schema, "check": FleetSchemas.check], optional: ["check"])
}

/// What a walk over the path showed just now.
public struct PathCheckView: Codable, Sendable, Equatable {
  public let path: PathView
  /// Whether AW reached the Gateway and was let in.
  public let reached: Bool
  public let chain: [CheckView]

  static let schema = JSONSchema.object([
    "path": PathView.schema, "reached": JSONSchema.bool, "chain": JSONSchema.array(of: FleetSchemas.check),
  ])
}

/// The API of control paths.
extension FleetRoutes {
  /// What goes into `POST /instances/{instance}/path`. The kind is text here, so that a wrong one is refused by name.
  public struct PathBody: Codable, Sendable {
    public struct SSH: Codable, Sendable {
      public var address: String
      public var port: Int?
      public var user: String
      public var hostKeys: String
      public var key: String

      public init(address: String, port: Int?, user: String, hostKeys: String, key: String) {
        self.address = address
        self.port = port
        self.user = user
        self.hostKeys = hostKeys
        self.key = key
      }
    }

    public struct Cloudflared: Codable, Sendable {
      public var hostname: String
      public var port: Int?
      public var authority: String?
      public var allowsPrivate: [String]?
      public var clientID: String
      public var clientSecret: String
      /// The JSON that `cloudflared tunnel create` writes; nil when the Connector is not to run cloudflared.
      public var tunnelCredentials: String?

      public init(
        hostname: String, port: Int?, authority: String?, allowsPrivate: [String]?, clientID: String,
        clientSecret: String, tunnelCredentials: String? = nil
      ) {
        self.hostname = hostname
        self.port = port
        self.authority = authority
        self.allowsPrivate = allowsPrivate
        self.clientID = clientID
        self.clientSecret = clientSecret
        self.tunnelCredentials = tunnelCredentials
      }
    }

    public var kind: String
    public var ssh: SSH?
    public var cloudflared: Cloudflared?

    public init(kind: String, ssh: SSH? = nil, cloudflared: Cloudflared? = nil) {
      self.kind = kind
      self.ssh = ssh
      self.cloudflared = cloudflared
    }

    func request() throws(AWError) -> FleetService.PathRequest {
      switch try PathKind.named(kind) {
      case .gateway: return .gateway
      case .ssh:
        guard let ssh else { throw Self.missing("ssh", "address, user, hostKeys and key") }
        return .ssh(
          try SSHServer(address: ssh.address, port: ssh.port ?? 22, user: ssh.user, hostKeys: ssh.hostKeys),
          key: Secret(ssh.key))
      case .cloudflared:
        guard let edge = cloudflared else { throw Self.missing("cloudflared", "hostname, clientID and clientSecret") }
        return .cloudflared(
          try PublicHostname(
            name: edge.hostname, port: edge.port ?? 443, authority: edge.authority,
            allowsPrivate: edge.allowsPrivate ?? []),
          clientID: Secret(edge.clientID), clientSecret: Secret(edge.clientSecret),
          tunnel: edge.tunnelCredentials.map { Secret($0) })
      }
    }

    private static func missing(_ member: String, _ what: String) -> AWError {
      AWError(.pathInvalid, "A path of this kind needs the member '\(member)'.", next: "Give it \(what).")
    }

    static let schema = JSONSchema.object(
      [
        "kind": JSONSchema.text,
        "ssh": JSONSchema.object(
          [
            "address": JSONSchema.text, "port": JSONSchema.integer, "user": JSONSchema.text,
            "hostKeys": JSONSchema.text, "key": JSONSchema.text,
          ], optional: ["port"]),
        "cloudflared": JSONSchema.object(
          [
            "hostname": JSONSchema.text, "port": JSONSchema.integer, "authority": JSONSchema.text,
            "allowsPrivate": JSONSchema.array(of: JSONSchema.text), "clientID": JSONSchema.text,
            "clientSecret": JSONSchema.text, "tunnelCredentials": JSONSchema.text,
          ], optional: ["port", "authority", "allowsPrivate", "tunnelCredentials"]),
      ], optional: ["ssh", "cloudflared"])
  }

  var paths: [Route] {
    [
      .read(
        "/api/v1/instances/{instance}/path", "How it is reached, and what the newest check of that showed.",
        schema: RouteSchema(response: PathStateView.schema)
      ) { request in try .json(encoding: try await pathState(try request.slug("instance"))) },
      .read(
        "/api/v1/instances/{instance}/path/check", "Walks over its path now, up to the health report.",
        schema: RouteSchema(response: PathCheckView.schema)
      ) { request in
        let (instance, report) = try await service.checkPath(of: try request.slug("instance"))
        let chain = report.results.filter { $0.outcome != .skipped }
          .map { CheckView($0, at: $0.at, behindFailure: false) }
        return try .json(
          encoding: PathCheckView(path: PathView(instance.path), reached: report.isReached, chain: chain))
      },
      .act(
        .post, "/api/v1/instances/{instance}/path", "Switches it to another path, which is verified first.",
        .instanceControl, .instancePathSwitched,
        schema: RouteSchema(request: PathBody.schema, response: PathStateView.schema, status: 202)
      ) { try await switchPath($0) },
    ]
  }

  private func pathState(_ slug: Slug) async throws -> PathStateView {
    let view = try await reader.instance(slug)
    return PathStateView(path: view.path, check: view.chain.first { $0.link == .host })
  }

  private func switchPath(_ request: WebRequest) async throws -> WebResponse {
    let (slug, dryRun) = (try request.slug("instance"), try request.dryRun)
    let wanted = try request.decode(PathBody.self).request()
    let made = try await service.switchPath(of: slug, to: wanted, as: try request.actor, dryRun: dryRun)
    guard dryRun else {
      return try .accepted(try await pathState(slug), at: "/api/v1/instances/\(slug)/path")
    }
    let checks = made.report.results.map { result in
      "Checked now: \(result.link.title) \(result.outcome.word.rawValue), \(result.durationMilliseconds) ms."
    }
    let (from, to) = (PathView(made.from), PathView(made.instance.path))
    return try .plan(
      Plan(
        act: EvidenceKind.instancePathSwitched.id, subject: "Instance \(slug)",
        steps: checks + [
          "Record \(to.words) as its path instead of \(from.words).",
          "Keep the path before for what is under way on it, up to \(PathLimits.drainFor.words).",
        ]))
  }
}
