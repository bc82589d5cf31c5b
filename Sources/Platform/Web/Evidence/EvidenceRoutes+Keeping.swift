import Access
import Basics
import Evidence
import Hygiene

/// Hygiene, erasing and bundles: the API.
extension EvidenceRoutes {
  private struct EraseBody: Codable { let field, reason: String }
  private struct ReviewBody: Codable { let reason: String }

  var keeping: [Route] {
    [
      .read(
        "/api/v1/evidence-hygiene", "The newest verdict of the checks of hygiene, and whether it is stale.",
        .evidenceRead, schema: RouteSchema(response: HygieneView.schema)
      ) { _ in
        guard let reading = try await service.newest() else {
          throw WebErrors.notFound("The log has not been scanned yet: 'aw evidence scan'.")
        }
        return try .json(encoding: HygieneView(reading))
      },
      .act(
        .post, "/api/v1/evidence-hygiene", "Runs the checks of hygiene over the whole log and records the verdict.",
        .evidenceManage, .evidenceScanned, schema: RouteSchema(response: HygieneView.schema, status: 201)
      ) { try await scan($0) },
      .read(
        "/api/v1/evidence/{index}/fields", "The fields of an entry that can be erased.", .evidenceRead,
        schema: RouteSchema(response: EvidenceFieldsView.schema)
      ) { request in try .json(encoding: try await service.fields(try index(request))) },
      .act(
        .post, "/api/v1/evidence/{index}/erase", "Erases a field of an entry for good. The log still verifies.",
        .evidenceManage, .evidenceErased,
        schema: RouteSchema(
          request: JSONSchema.object(["field": JSONSchema.text, "reason": JSONSchema.text]),
          response: EvidenceFieldsView.schema, status: 202)
      ) { try await erase($0) },
      .act(
        .post, "/api/v1/evidence/{index}/review",
        "Lets what was found in an entry stay, and shows what was in quarantine.",
        .evidenceManage, .evidenceReviewed,
        schema: RouteSchema(
          request: JSONSchema.object(["reason": JSONSchema.text]), response: EvidenceView.schema, status: 202)
      ) { try await review($0) },
      .read(
        "/api/v1/evidence-bundle", "Entries with the proofs that they are in the log, to be verified offline.",
        .evidenceRead, schema: RouteSchema(response: Self.bundleSchema, query: Self.scope)
      ) { request in
        try .json(encoding: try await service.exporter.bundle(try bundleScope(request)))
      },
    ]
  }

  private static let scope: [RouteSchema.Query] = [
    .init("org", "The id of an Org."), .init("subject", "The id of what they are about."),
    .init("act", "The id of an act or operation."), .init("since", "The earliest time, RFC 3339.", JSONSchema.time),
    .init("until", "The latest time, RFC 3339.", JSONSchema.time),
  ]

  private static let bundleSchema = JSONSchema.object([
    "bundle": JSONSchema.text, "made": JSONSchema.time, "scope": JSONSchema.any, "log": JSONSchema.text,
    "checkpoint": JSONSchema.text, "hygiene": JSONSchema.any, "completeness": JSONSchema.text,
    "entries": JSONSchema.array(
      of: JSONSchema.object(
        [
          "index": JSONSchema.integer, "entry": JSONSchema.text, "hash": JSONSchema.text, "withheld": JSONSchema.text,
          "proof": JSONSchema.text, "disclosures": JSONSchema.array(of: JSONSchema.text),
        ], optional: ["entry", "hash", "withheld"])),
  ])

  private func scan(_ request: WebRequest) async throws -> WebResponse {
    let dryRun = try request.dryRun
    guard !dryRun else {
      return try .plan(
        Plan(
          act: EvidenceKind.evidenceScanned.id, subject: "the evidence log",
          steps: ["Look at every entry with four checks.", "Record the verdict."]))
    }
    let reading = try await service.scan(as: try request.actor)
    return try .created(HygieneView(reading), at: "/api/v1/evidence-hygiene")
  }

  private func erase(_ request: WebRequest) async throws -> WebResponse {
    let (index, body, dryRun) = (try index(request), try request.decode(EraseBody.self), try request.dryRun)
    try await service.erase(index, field: body.field, reason: body.reason, as: try request.actor, dryRun: dryRun)
    guard dryRun else {
      return try .accepted(try await service.fields(index), at: "/api/v1/evidence/\(index)/fields")
    }
    return try .plan(
      Plan(
        act: EvidenceKind.evidenceErased.id, subject: "entry \(index)",
        steps: [
          "Delete the value and the salt of \(body.field) for good. Nobody can bring it back.",
          "Record that it was erased, by whom and why.",
        ]))
  }

  private func review(_ request: WebRequest) async throws -> WebResponse {
    let (index, body, dryRun) = (try index(request), try request.decode(ReviewBody.self), try request.dryRun)
    try await service.review(index, reason: body.reason, as: try request.actor, dryRun: dryRun)
    guard dryRun else {
      return try .accepted(EvidenceView(try await entry(request)), at: "/api/v1/evidence/\(index)")
    }
    return try .plan(
      Plan(
        act: EvidenceKind.evidenceReviewed.id, subject: "entry \(index)",
        steps: [
          "Record that it may stay. What fails, such as a known secret, stays failed.",
          "Show what was put aside in it, here and in bundles.",
        ]))
  }

  private func bundleScope(_ request: WebRequest) throws -> EvidenceBundle.Scope {
    func time(_ name: String) throws -> Timestamp? {
      try request.query(name).map { text in
        guard let time = Timestamp(text) else {
          throw WebErrors.usage("The value \(text.quoted) of \(name.quoted) is no RFC 3339 time.")
        }
        return time
      }
    }
    return EvidenceBundle.Scope(
      org: request.query("org"), subject: request.query("subject"), act: request.query("act"),
      since: try time("since"), until: try time("until"))
  }

  func index(_ request: WebRequest) throws -> Int64 {
    let text = try request.text("index")
    guard let index = Int64(text) else { throw WebErrors.notFound("There is no evidence entry \(text.quoted).") }
    return index
  }
}

/// A verdict of hygiene as the API shows it.
public struct HygieneView: Codable, Sendable, Equatable {
  public let outcome: HygieneVerdict.Outcome
  /// Whether entries were added that it did not look at.
  public let isStale: Bool
  public let added: Int64
  /// The entry that records it.
  public let entry: Int64
  public let verdict: HygieneVerdict

  public init(_ reading: HygieneReading) {
    (outcome, isStale, added) = (reading.verdict.outcome, reading.isStale, reading.added)
    (entry, verdict) = (reading.entry, reading.verdict)
  }

  static let schema = JSONSchema.object([
    "outcome": JSONSchema.oneOf(["passed", "review", "failed"]), "isStale": JSONSchema.bool,
    "added": JSONSchema.integer, "entry": JSONSchema.integer,
    "verdict": JSONSchema.object([
      "at": JSONSchema.time, "items": JSONSchema.integer, "values": JSONSchema.integer,
      "tooPlain": JSONSchema.array(of: JSONSchema.text), "identities": JSONSchema.integer,
      "checks": JSONSchema.array(
        of: JSONSchema.object([
          "layer": JSONSchema.oneOf(HygieneLayer.allCases.map(\.rawValue)), "title": JSONSchema.text,
          "outcome": JSONSchema.oneOf(["passed", "review", "failed"]), "items": JSONSchema.integer,
          "found": JSONSchema.integer, "rules": JSONSchema.text,
        ])),
      "findings": JSONSchema.array(
        of: JSONSchema.object([
          "layer": JSONSchema.text, "entry": JSONSchema.integer, "field": JSONSchema.text, "rule": JSONSchema.text,
          "says": JSONSchema.text,
        ])),
    ]),
  ])
}
