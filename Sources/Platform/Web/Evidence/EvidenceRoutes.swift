import Access
import Basics
import Evidence
import Store

/// The evidence log: its API and its pages. Evidence has no HTTP, so they are here.
public struct EvidenceRoutes: Sendable {
  let log: EvidenceLog
  let publisher: EvidencePublisher
  let store: Store
  let service: EvidenceService
  /// Where the published copy lies on the control plane's machine.
  let directory: String

  public static let topic = "evidence"
  private static let itemsPerPage = 50

  public init(
    log: EvidenceLog, publisher: EvidencePublisher, store: Store, service: EvidenceService, directory: String
  ) {
    self.log = log
    self.publisher = publisher
    self.store = store
    self.service = service
    self.directory = directory
  }

  public var pages: RoomPages {
    RoomPages(navigation: [.init("Evidence", path: "/evidence", key: "e")], templates: [:])
  }

  public var routes: [Route] {
    [
      .read(
        "/api/v1/evidence", "Evidence entries, newest first.", .evidenceRead,
        schema: .listing(of: EvidenceView.schema, query: Self.filters)
      ) { try await list($0) },
      .read("/api/v1/evidence/{index}", "One entry.", .evidenceRead, schema: RouteSchema(response: EvidenceView.schema))
      { request in try .json(encoding: EvidenceView(try await entry(request))) },
      .read(
        "/api/v1/evidence-log", "How many entries there are, and how many are published.", .evidenceRead,
        schema: RouteSchema(response: EvidenceLogView.schema)
      ) { _ in try .json(encoding: try await state()) },
      .page("/evidence", "The evidence log.", .evidenceRead) { try await page($0) },
      .page("/evidence/{index}", "One evidence entry.", .evidenceRead) { try await entryPage($0) },
    ] + keeping + keepingForms
  }

  private static let filters: [RouteSchema.Query] = [
    .init("kind", "The kind: `org.created`."), .init("org", "The id of an Org."),
    .init("subject", "The id of what it is about."), .init("act", "The id of an act or operation."),
    .init("actor", "Who did it."), .init("since", "The earliest time, RFC 3339.", JSONSchema.time),
  ]

  // MARK: - API

  private func list(_ request: WebRequest) async throws -> WebResponse {
    let wanted = try request.listing()
    let records = try await read(request, before: try before(wanted.after), limit: wanted.readLimit)
    return try .listing(Listing(records.map { EvidenceView($0) }, for: wanted) { [String($0.index)] })
  }

  private func before(_ cursor: Cursor?) throws -> Int64? {
    guard let cursor else { return nil }
    guard let index = cursor.keys.first.flatMap({ Int64($0) }) else {
      throw WebErrors.usage("The cursor is not one that this API gave out.")
    }
    return index
  }

  private func read(_ request: WebRequest, before: Int64?, limit: Int) async throws -> [EvidenceRecord] {
    var filter = request.query("kind").map { EvidenceFilter.kind(named: $0) } ?? EvidenceFilter()
    filter.org = request.query("org")
    filter.subjectID = request.query("subject")
    filter.act = request.query("act")
    filter.actor = request.query("actor")
    if let text = request.query("since") {
      guard let since = Timestamp(text) else {
        throw WebErrors.usage("The value \(text.quoted) of \"since\" is no RFC 3339 time.")
      }
      filter.since = since
    }
    let (log, wanted) = (log, filter)
    return try await store.read { tx in try log.list(before: before, limit: limit, filter: wanted, in: tx) }
  }

  func entry(_ request: WebRequest) async throws -> EvidenceRecord {
    let text = try request.text("index")
    let log = log
    guard let index = Int64(text), let record = try await store.read({ try log.record(at: index, in: $0) }) else {
      throw WebErrors.notFound("There is no evidence entry \(text.quoted).")
    }
    return record
  }

  private func state() async throws -> EvidenceLogView {
    let log = log
    let head = try await store.read { try log.head(in: $0) }
    let last = await publisher.lastRun
    return EvidenceLogView(
      size: head.size, root: Hex.encode(head.root.bytes), publishedSize: last?.size, publishedAt: last?.at,
      problem: last?.problem?.description, verifierKey: publisher.verifierKey.text)
  }

  // MARK: - Pages

  private func page(_ request: WebRequest) async throws -> WebResponse {
    let before = try request.integer("before", in: 0...Int.max).map(Int64.init)
    let read = try await read(request, before: before, limit: Self.itemsPerPage + 1)
    let records = read.prefix(Self.itemsPerPage)
    let kept = ["kind", "org", "subject", "act", "actor"].compactMap { name in
      request.query(name).map { "\(name)=\(FormText.encode($0))" }
    }
    var older = JSONValue.null
    if read.count > records.count, let last = records.last {
      older = .string("/evidence?" + (kept + ["before=\(last.index)"]).joined(separator: "&"))
    }
    let reading = try await service.newest()
    let names = try await ActorNames(of: records.map(\.entry.actor), in: store)
    let values: JSONValue = [
      "log": try JSONValue(encoding: try await state()),
      "hygiene": try reading.map { try JSONValue(encoding: HygieneView($0)) } ?? .null,
      "completeness": .string(EvidenceCompleteness.always), "mayManage": .bool(request.caller?.role == .owner),
      "directory": .string(directory),
      "entries": .array(records.map { Self.row($0, names) }), "hasEntries": .bool(!records.isEmpty), "older": older,
      "kind": .string(request.query("kind") ?? ""), "subject": .string(request.query("subject") ?? ""),
      "filtered": .bool(!kept.isEmpty),
    ]
    // Older pages do not change, so only the first one reads itself anew.
    return .page(Page("Evidence", template: "evidence", values: values, live: before == nil ? Self.topic : nil))
  }

  private func entryPage(_ request: WebRequest) async throws -> WebResponse {
    let record = try await entry(request)
    let names = try await ActorNames(of: [record.entry.actor], in: store)
    var values = Self.row(record, names).objectValue ?? [:]
    values["hash"] = .string(Hex.encode(record.hash.bytes))
    values["act"] = .string(record.entry.act ?? "")
    values["subjectID"] = .string(record.entry.subject?.id ?? "")
    values["data"] = .string(record.entry.data.indented)
    values.merge(try await keepingValues(of: record.index, request)) { $1 }
    return .page(Page("Evidence entry \(record.index)", template: "evidence-entry", values: .object(values)))
  }

  static func row(_ record: EvidenceRecord, _ names: ActorNames) -> JSONValue {
    let (entry, subject) = (record.entry, record.entry.subject)
    return [
      "index": .integer(record.index), "kind": .string(entry.kind.id), "at": .string(entry.at.description),
      "actor": .string(entry.actor), "who": .string(names.words(for: entry.actor)),
      "subject": .string(subject.map { "\($0.type) \($0.slug ?? $0.id)" } ?? ""),
      "says": .string(says(entry.data)),
    ]
  }

  /// The members that say most, in one line.
  private static func says(_ data: JSONValue) -> String {
    let names = ["step", "outcome", "from", "to", "reason", "class", "code", "message", "slug", "role"]
    return names.compactMap { name in
      data[name]?.stringValue.map { "\(name): \($0)" }
    }.joined(separator: " · ")
  }
}
