import Access
import Basics
import Evidence
import Link
import Web

/// The links' authorities as the API shows them.
public struct AuthorityView: Codable, Sendable, Equatable {
  public struct One: Codable, Sendable, Equatable {
    /// SHA-256 of its certificate, hexadecimal.
    public let fingerprint: String
    public let signs: Bool
    public let trusted: Bool
    public let notAfter: Timestamp
  }

  public struct Waiting: Codable, Sendable, Equatable {
    public let host: Slug
    public let why: Laggard.Lack
    public let connected: Bool
  }

  public let phase: AuthorityRotation.Phase
  public let since: Timestamp
  public let authorities: [One]
  /// The step that `rotate` takes next.
  public let nextStep: AuthorityRotation.Step
  /// How many Hosts have enrolled, and those that the next step waits for.
  public let hosts: Int
  public let waitsFor: [Waiting]
  /// The Hosts that an operator goes on without.
  public let without: [Slug]

  init(_ standing: AuthorityService.Standing) {
    let rotation = standing.rotation
    let inUse = rotation.inUse
    phase = rotation.phase
    since = rotation.since
    authorities = rotation.kept.map { kept in
      One(
        fingerprint: kept.fingerprint, signs: kept == inUse[0], trusted: inUse.contains(kept), notAfter: kept.notAfter)
    }
    nextStep = rotation.step
    hosts = standing.hosts.count
    waitsFor = standing.laggards.map { Waiting(host: $0.host, why: $0.why, connected: $0.isConnected) }
    without = standing.accepted
  }

  static let schema = JSONSchema.object([
    "phase": JSONSchema.oneOf(AuthorityRotation.Phase.allCases.map(\.rawValue)), "since": JSONSchema.time,
    "authorities": JSONSchema.array(
      of: JSONSchema.object([
        "fingerprint": JSONSchema.text, "signs": JSONSchema.bool, "trusted": JSONSchema.bool,
        "notAfter": JSONSchema.time,
      ])), "nextStep": JSONSchema.oneOf(AuthorityRotation.Step.allCases.map(\.rawValue)), "hosts": JSONSchema.integer,
    "waitsFor": JSONSchema.array(
      of: JSONSchema.object([
        "host": JSONSchema.slug, "why": JSONSchema.oneOf(Laggard.Lack.allCases.map(\.rawValue)),
        "connected": JSONSchema.bool,
      ])), "without": JSONSchema.array(of: JSONSchema.slug),
  ])
}

/// The API of the links' authorities.
public struct AuthorityRoutes: Sendable {
  /// What goes into `POST /authority/rotate`.
  public struct Body: Codable, Sendable {
    public var without: [Slug]?

    public init(without: [Slug]? = nil) { self.without = without }

    static let schema = JSONSchema.object(
      ["without": JSONSchema.array(of: JSONSchema.slug)], optional: ["without"])
  }

  let service: AuthorityService

  public init(service: AuthorityService) { self.service = service }

  public var routes: [Route] {
    [
      .read(
        "/api/v1/authority", "The authorities of the links' certificates, and how far a rotation has come.",
        schema: RouteSchema(response: AuthorityView.schema)
      ) { _ in try .json(encoding: AuthorityView(try await service.standing())) },
      .act(
        .post, "/api/v1/authority/rotate", "Takes the next step of letting a new authority take over.",
        .authorityRotate, .authorityRotated,
        schema: RouteSchema(request: Body.schema, response: AuthorityView.schema, status: 202)
      ) { try await rotate($0) },
      .act(
        .post, "/api/v1/authority/abandon", "Gives up a rotation whose next authority does not sign yet.",
        .authorityRotate, .authorityAbandoned,
        schema: RouteSchema(response: AuthorityView.schema, status: 202)
      ) { try await abandon($0) },
    ]
  }

  private func abandon(_ request: WebRequest) async throws -> WebResponse {
    let dryRun = try request.dryRun
    let standing = try await service.abandon(as: try request.actor, dryRun: dryRun)
    guard dryRun else { return try .accepted(AuthorityView(standing), at: "/api/v1/authority") }
    return try .plan(
      Plan(
        act: EvidenceKind.authorityAbandoned.id, subject: "The links' authority",
        steps: [
          "Trust only the present authority here, and tell every Connector to.", "Delete the key of the next one.",
        ]))
  }

  private func rotate(_ request: WebRequest) async throws -> WebResponse {
    let (without, dryRun) = (try request.decode(Body.self).without ?? [], try request.dryRun)
    let standing = try await service.rotate(without: without, as: try request.actor, dryRun: dryRun)
    guard dryRun, let step = standing.taken else {
      return try .accepted(AuthorityView(standing), at: "/api/v1/authority")
    }
    return try .plan(
      Plan(
        act: EvidenceKind.authorityRotated.id, subject: "The links' authority",
        steps: without.map { "Go on without \($0), which must enrol again." } + Self.words(step)))
  }

  private static func words(_ step: AuthorityRotation.Step) -> [String] {
    switch step {
    case .prepare: ["Make a new authority and keep its key in the vault. Nobody is told of it yet."]
    case .dualTrust:
      ["Trust certificates of both authorities here.", "Tell every Connector to trust both, over its link."]
    case .switchOver:
      [
        "Show new connections a certificate of the new authority, and sign with it from now on.",
        "Have every Connector fetch a certificate of it and make its connections anew, each before the old one ends.",
      ]
    case .retire:
      [
        "Trust only the new authority here, and tell every Connector to.",
        "End connections that were made with a certificate of the old one, and delete its key.",
      ]
    }
  }
}
