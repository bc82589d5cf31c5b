import Access
import Basics
import Link
import Store
import Web

/// A loss as the API shows one.
public struct LossView: Codable, Sendable, Equatable {
  public let id: LossID
  public let host: Slug
  public let at: Timestamp
  public let lossClass: LossClass
  public let side: LossClass.Side
  public let explanation: String
  /// Which kind of evidence decided.
  public let rule: LossVerdict.Rule
  /// What it was called before the Connector told; nil when that changed nothing.
  public let calledFirst: LossClass?
  public let recoveredAt: Timestamp?
  /// How long the Host had no link; nil while it has none.
  public let outageMilliseconds: Int64?
  public let seen: LossEvidence
  public let account: PeerAccount?

  private enum CodingKeys: String, CodingKey {
    case id, host, at, side, explanation, rule, calledFirst, recoveredAt, outageMilliseconds, seen, account
    case lossClass = "class"
  }

  init(_ loss: Loss, host: Slug) {
    id = loss.id
    self.host = host
    at = loss.at
    lossClass = loss.verdict.lossClass
    side = loss.verdict.lossClass.side
    explanation = loss.verdict.lossClass.explanation
    rule = loss.verdict.rule
    calledFirst = loss.calledFirst
    recoveredAt = loss.recoveredAt
    outageMilliseconds = loss.recoveredAt.map { $0.since(loss.at).milliseconds }
    seen = loss.seen
    account = loss.account
  }

  static let schema = JSONSchema.object(
    [
      "id": JSONSchema.id, "host": JSONSchema.slug, "at": JSONSchema.time,
      "class": JSONSchema.oneOf(LossClass.allCases.map(\.rawValue)),
      "side": JSONSchema.oneOf(LossClass.Side.allCases.map(\.rawValue)), "explanation": JSONSchema.text,
      "rule": JSONSchema.text, "calledFirst": JSONSchema.oneOf(LossClass.allCases.map(\.rawValue)),
      "recoveredAt": JSONSchema.time, "outageMilliseconds": JSONSchema.integer, "seen": ["type": "object"],
      "account": ["type": "object"],
    ], optional: ["calledFirst", "recoveredAt", "outageMilliseconds", "account"])
}

extension FleetReader {
  func losses(
    host: Slug?, lossClass: LossClass?, before: (at: Timestamp, id: String)?, limit: Int
  ) async throws -> [LossView] {
    try await store.read { tx in
      let names = try FleetRecords.slugs(of: "host", HostKind.self, in: tx)
      let wanted = try host.map { slug in
        guard let host = try FleetRecords.host(slug, in: tx) else { throw FleetService.unknownHost(slug) }
        return host.id
      }
      return try LossRecords.list(host: wanted, lossClass: lossClass, before: before, limit: limit, in: tx)
        // The losses of a Host go with it, so that each has its name.
        .compactMap { loss in names[loss.host].map { LossView(loss, host: $0) } }
    }
  }

  func loss(_ id: LossID) async throws -> LossView {
    try await store.read { tx in
      guard let loss = try LossRecords.find(id, in: tx), let host = try FleetRecords.host(loss.host, in: tx) else {
        throw AWError(.notFound, "There is no loss \(id).", next: "See 'aw loss list'.")
      }
      return LossView(loss, host: host.slug)
    }
  }
}

/// The API of losses.
extension FleetRoutes {
  var losses: [Route] {
    [
      .read(
        "/api/v1/losses", "The losses of links, newest first, each with its class.",
        schema: .listing(
          of: LossView.schema,
          query: [
            .init("host", "Of this Host."),
            .init("class", "Of this class.", JSONSchema.oneOf(LossClass.allCases.map(\.rawValue))),
          ])
      ) { try await listLosses($0) },
      .read(
        "/api/v1/losses/{loss}", "One loss, with what was seen from both ends.",
        schema: RouteSchema(response: LossView.schema)
      ) { request in try .json(encoding: try await reader.loss(try request.id("loss"))) },
    ]
  }

  private func listLosses(_ request: WebRequest) async throws -> WebResponse {
    let wanted = try request.listing()
    let views = try await reader.losses(
      host: try request.query("host").map { try Slug($0) }, lossClass: try request.word("class"),
      before: try before(wanted.after), limit: wanted.readLimit)
    return try .listing(Listing(views, for: wanted) { [String($0.at.millisecondsSince1970), $0.id.text] })
  }

  private func before(_ cursor: Cursor?) throws -> (at: Timestamp, id: String)? {
    guard let cursor else { return nil }
    guard cursor.keys.count == 2, let at = Int64(cursor.keys[0]) else {
      throw AWError(.usage, "The cursor is not one that this API gave out.", next: "Begin again without one.")
    }
    return (Timestamp(millisecondsSince1970: at), cursor.keys[1])
  }
}
