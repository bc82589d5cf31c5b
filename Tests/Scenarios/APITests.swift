import Basics
import Client
import Credentials
import Deployment
import Evidence
import Fleet
import Foundation
import Store
import Onboarding
import Testing
import Work

/// The OpenAPI document against the running server.
@Suite("The API is what it says it is", .serialized, .timeLimit(.minutes(3)))
struct APITests {
  @Test("every reader answers by its schema; every writer rehearses, answers with a plan, and changes nothing")
  func contract() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      let operation = try await scene.provision()
      let document = try await scene.client.send(.get, "/openapi.json")
      let schema = SchemaCheck(document)
      let parts = [
        "org": "acme", "host": "host-1", "instance": "acme-main", "operation": operation.id.text, "index": "0",
        "surface": "models.providers.openai.apiKey", "baseline": "strict", "other": "standard",
        "sequence": "build-sequence-1",
      ]
      try await prepareOnboardings(scene)
      let handoffs = try await scene.handoffRehearsals()
      _ = try await scene.client.send(.post, "/evidence-hygiene")
      var readers = 0
      for (path, methods) in try #require(document["paths"]?.objectValue) {
        let filled = parts.reduce(path) { $0.replacing("{\($1.key)}", with: $1.value) }
        guard let reader = methods["get"], !filled.contains("{") else { continue }
        // Tokens belong to operators; the socket's caller is none.
        if path == "/api/v1/tokens" { continue }
        let answer = try await scene.client.send(.get, String(filled.dropFirst("/api/v1".count)))
        let problems = schema.problems(answer, reader["responses"]?["200"]?["content"]?["application/json"]?["schema"])
        #expect(problems == [], "\(path)")
        readers += 1
      }
      #expect(readers >= 12)
      let gate = try await Gating(in: scene).ask([.openAI])
      let revoked = try await Gating(in: scene).ask([.openAI])
      let gates: [String: (path: String, body: JSONValue?)] = [
        "POST /api/v1/gates/{gate}/envelope": (
          "/gates/\(gate.id)/envelope", try JSONValue(encoding: try Gating.signed(gate.request))
        ),
        "POST /api/v1/gates/{gate}/revoke": ("/gates/\(revoked.id)/revoke", ["reason": "later"]),
      ]
      let saved = try await scene.client.send(.get, "/evidence", query: [("kind", "onboarding.saved")])
      let index = saved["items"]?[0]?["index"]?.intValue ?? 0
      let records: [String: (path: String, body: JSONValue?)] = [
        "POST /api/v1/evidence-hygiene": ("/evidence-hygiene", nil),
        "POST /api/v1/evidence/{index}/review": ("/evidence/\(index)/review", ["reason": "later"]),
        "POST /api/v1/evidence/{index}/erase": (
          "/evidence/\(index)/erase", ["field": "contactEmail", "reason": "later"]
        ),
      ]
      let others = gates.merging(handoffs) { $1 }.merging(try await Alerting(in: scene).rehearsals) { $1 }
        .merging(try await Programming.rehearsals(scene)) { $1 }
        .merging(records) { $1 }
      try await rehearse(scene, document, schema, others)
    }
  }

  @Test("an Instance's timeline tells what happened, each with its evidence, and its pages follow each other")
  func timeline() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.provision()
      _ = try await scene.operate("stop")
      try await scene.until { $0.status.status == .unreachable }
      let client = scene.client
      var all: [TimelineItem]
      repeat {
        all = try await client.all("/instances/acme-main/timeline", as: TimelineItem.self)
      } while !all.contains { $0.to == .unreachable }
      #expect(all.map(\.index) == all.map(\.index).sorted(by: >))
      // What comes meanwhile is newer, so that pages from a cursor hold the same.
      var (paged, cursor): ([TimelineItem], String?) = ([], nil)
      repeat {
        let page = try await client.some("/instances/acme-main/timeline", as: TimelineItem.self, max: 1, after: cursor)
        paged += page.items
        cursor = page.next
      } while cursor != nil
      #expect(Array(paged.suffix(all.count)).map(\.index) == all.map(\.index))
      let change = try #require(all.first { $0.to == .unreachable })
      #expect(change.reason == "It was stopped on request." && change.cause == .runtime)
      let runtime = try #require(change.chain?.first { $0.link == .runtime })
      #expect(runtime.outcome == "failed" && runtime.code == "runtime.exited")
      let entry = try await client.send(.get, "/evidence/\(change.index)")
      #expect(entry["kind"] == "instance.status-changed" && entry["data"]?["to"] == "unreachable")
      #expect(all.contains { $0.operation?.kind == "instance.provision" && $0.operation?.state == .succeeded })
      #expect(all.contains { $0.sort == .act && $0.title == "Somebody asked to stop it." })
      // Its Host was linked before there was such an Instance.
      #expect(!all.contains { $0.sort == .link })
    }
  }

  @Test("the checks of an Instance are kept with their times; a window that there is not is refused")
  func latency() async throws {
    try await Scene.with { scene in
      try await scene.createOrg()
      try await scene.provision()
      var view: LatencyView
      repeat {
        view = try await scene.client.send(.get, "/instances/acme-main/latency", as: LatencyView.self)
      } while view.phases.isEmpty
      #expect(view.window == .hour && view.phases.map(\.link).contains(.hello))
      #expect(view.statuses.first?.from == view.from && view.statuses.last?.to == view.to)
      await #expect(throws: AWError.self) {
        try await scene.client.send(.get, "/instances/acme-main/latency", query: [("window", "1y")])
      }
    }
  }

  @Test("Orgs are listed in pages that neither leave out nor repeat, whatever is created meanwhile")
  func orgs() async throws {
    try await Scene.with { scene in
      let client = scene.client
      for number in 10..<20 { try await scene.createOrg("org-\(number)") }
      let first = try await client.some("/orgs", as: OrgView.self, max: 4)
      try await scene.createOrg("org-00")
      try await scene.createOrg("org-99")
      let rest = try await client.some("/orgs", as: OrgView.self, after: first.next)
      #expect((first.items + rest.items).map(\.slug.text) == (10..<20).map { "org-\($0)" } + ["org-99"])
      let some = try await client.all("/orgs", query: [("name", "org-1")], as: OrgView.self)
      #expect(some.count == 10)
    }
  }

  /// One onboarding that is ready to provision, and one that is held.
  private func prepareOnboardings(_ scene: Scene) async throws {
    try await scene.createOrg("globex")
    try await scene.setCredential()
    _ = try await scene.client.send(.post, "/orgs/acme/credentials/models.providers.openai.apiKey/validate")
    for org in ["acme", "globex"] {
      let body: JSONValue = [
        "contact": ["name": "Ada", "email": "ada@example.com"],
        "instance": ["slug": .string(org + "-later"), "runtime": "process"],
        "surfaces": ["models.providers.openai.apiKey"],
      ]
      _ = try await scene.client.send(.post, "/orgs/\(org)/onboarding", body: body)
    }
    _ = try await scene.client.send(.post, "/orgs/globex/onboarding/hold", body: ["reason": "a test"])
    _ = try await scene.control.onboarding.askException(
      .init(
        key: "tools.exec.security", value: "allowlist", owner: "Ada", reason: "a test",
        until: WallClock.system.now.advanced(by: .seconds(3_600))), org: Slug("globex"), as: Scene.actor)
  }

  /// What of alerts has to be there, so that its writers have something to rehearse on.
  private struct Alerting {
    let silence: String
    let deadLetter: String

    init(in scene: Scene) async throws {
      let client = scene.client
      _ = try await client.send(
        .post, "/alert-endpoints",
        body: ["name": "desk", "kind": "webhook", "target": "http://127.0.0.1:9/", "allowsPrivate": ["127.0.0.0/8"]]
          as JSONValue)
      _ = try await client.send(.post, "/alert-routes", body: ["name": "all", "endpoints": ["desk"]] as JSONValue)
      let until = Timestamp(Date()).advanced(by: .seconds(3_600)).description
      let made = try await client.send(
        .post, "/silences", body: ["endsAt": .string(until), "reason": "a test"] as JSONValue)
      silence = try #require(made["id"]?.stringValue)
      // Nothing is sent to an endpoint that is off, so this one becomes a dead letter.
      _ = try await client.send(.post, "/alert-endpoints/desk/enable", body: ["enabled": false] as JSONValue)
      var letter = try await client.send(.post, "/alert-endpoints/desk/test")
      let id = try #require(letter["id"]?.stringValue)
      while letter["state"] != "dead" { letter = try await client.send(.get, "/deliveries/\(id)") }
      deadLetter = id
    }

    private static var tomorrow: String { Timestamp(Date()).advanced(by: .seconds(86_400)).description }

    var rehearsals: [String: (path: String, body: JSONValue?)] {
      [
        "POST /api/v1/alert-endpoints": (
          "/alert-endpoints",
          ["name": "later", "kind": "webhook", "target": "http://127.0.0.1:9/", "allowsPrivate": ["127.0.0.0/8"]]
        ),
        "POST /api/v1/alert-endpoints/{endpoint}/secret": (
          "/alert-endpoints/desk/secret", ["secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
        ),
        "POST /api/v1/alert-endpoints/{endpoint}/enable": ("/alert-endpoints/desk/enable", ["enabled": true]),
        "POST /api/v1/alert-endpoints/{endpoint}/test": ("/alert-endpoints/desk/test", nil),
        "DELETE /api/v1/alert-routes/{route}": ("/alert-routes/all", nil),
        "POST /api/v1/alert-routes": ("/alert-routes", ["name": "later", "endpoints": ["desk"]]),
        "POST /api/v1/silences": ("/silences", ["endsAt": .string(Self.tomorrow), "reason": "later"]),
        "POST /api/v1/silences/{silence}/end": ("/silences/\(silence)/end", nil),
        "POST /api/v1/deliveries/{delivery}/replay": ("/deliveries/\(deadLetter)/replay", nil),
      ]
    }
  }

  /// What each writer is asked for; a new one without a line here fails the test.
  private static let rehearsals: [String: (path: String, body: JSONValue?)] = [
    "POST /api/v1/orgs": ("/orgs", ["slug": "later"]),
    "POST /api/v1/orgs/{org}/onboarding": ("/orgs/acme/onboarding", ["surfaces": ["channels.slack.botToken"]]),
    "POST /api/v1/orgs/{org}/onboarding/exceptions": (
      "/orgs/acme/onboarding/exceptions",
      [
        "key": "tools.profile", "value": "full", "owner": "Ada", "reason": "later",
        "until": .string("\(WallClock.system.now.advanced(by: .seconds(3_600)))"),
      ]
    ),
    "POST /api/v1/orgs/{org}/onboarding/exceptions/{key}/withdraw": (
      "/orgs/globex/onboarding/exceptions/tools.exec.security/withdraw", nil
    ),
    "POST /api/v1/orgs/{org}/onboarding/hold": ("/orgs/acme/onboarding/hold", ["reason": "later"]),
    "POST /api/v1/orgs/{org}/onboarding/release": ("/orgs/globex/onboarding/release", nil),
    "POST /api/v1/orgs/{org}/onboarding/provision": ("/orgs/acme/onboarding/provision", nil),
    "POST /api/v1/orgs/{org}/credentials": (
      "/orgs/acme/credentials",
      [
        "surface": "channels.telegram.botToken",
        "value": .string((try? FixtureValue.make(.telegram, name: "later")) ?? ""),
      ]
    ),
    "POST /api/v1/orgs/{org}/credentials/{surface}/validate": (
      "/orgs/acme/credentials/models.providers.openai.apiKey/validate", nil
    ),
    "POST /api/v1/orgs/{org}/credentials/{surface}/rotate": (
      "/orgs/acme/credentials/models.providers.openai.apiKey/rotate",
      ["value": .string((try? FixtureValue.make(.openAI, name: "later")) ?? "")]
    ),
    "DELETE /api/v1/orgs/{org}/credentials/{surface}": ("/orgs/acme/credentials/models.providers.openai.apiKey", nil),
    "POST /api/v1/sealing-key/rotate": ("/sealing-key/rotate", nil),
    "POST /api/v1/orgs/{org}/credentials/{surface}/request": (
      "/orgs/acme/credentials/channels.slack.botToken/request", ["purpose": "a test"]
    ),
    "POST /api/v1/hosts": ("/hosts", ["slug": "later"]),
    "POST /api/v1/hosts/{host}/drain": ("/hosts/host-1/drain", ["draining": true]),
    "DELETE /api/v1/hosts/{host}": ("/hosts/host-1?force=1", nil),
    "POST /api/v1/instances": ("/instances", ["org": "acme", "slug": "later", "runtime": "process"]),
    "DELETE /api/v1/instances/{instance}": ("/instances/acme-main?purge=1", nil),
    "POST /api/v1/instances/{instance}/start": ("/instances/acme-main/start", nil),
    "POST /api/v1/instances/{instance}/stop": ("/instances/acme-main/stop", nil),
    "POST /api/v1/instances/{instance}/restart": ("/instances/acme-main/restart", nil),
    "POST /api/v1/instances/{instance}/path": ("/instances/acme-main/path", ["kind": "aw-gateway"]),
    "POST /api/v1/authority/rotate": ("/authority/rotate", [:]),
    "POST /api/v1/approval-rules": (
      "/approval-rules",
      [
        "kind": "host.removed", "minutes": 60, "separateExecutor": false,
        "roles": [["name": "second", "people": []]],
      ]
    ),
    "POST /api/v1/operators": ("/operators", ["name": "later", "role": "viewer"]),
    "POST /api/v1/operators/{name}/sign-in-link": ("/operators/ada/sign-in-link", nil),
  ]
  /// Writers that cannot be rehearsed here: most only an operator can ask for, whom the socket's caller is not.
  private static let personal: Set<String> = Programming.personal.union([
    "POST /api/v1/tokens", "DELETE /api/v1/tokens/{id}", "POST /api/v1/gates", "POST /api/v1/operators/{name}/suspend",
    "POST /api/v1/orgs/{org}/onboarding/exceptions/{key}/approve",
    "POST /api/v1/approvals/{id}/approve", "POST /api/v1/approvals/{id}/refuse", "POST /api/v1/emergencies",
    "POST /api/v1/emergencies/{id}/review",
    // There is no rule to take away.
    "DELETE /api/v1/approval-rules/{kind}",
    // Nothing is rotated yet, so there is nothing to abandon or to retire.
    "POST /api/v1/authority/abandon",
    "POST /api/v1/orgs/{org}/credentials/{surface}/retire",
    // Only a link that was used twice freezes a credential: see the tests of one-time links.
    "POST /api/v1/orgs/{org}/credentials/{surface}/unfreeze",
    // A route still sends to the only endpoint, so removing that is refused, rehearsed or not.
    "DELETE /api/v1/alert-endpoints/{endpoint}",
  ])

  private func rehearse(
    _ scene: Scene, _ document: JSONValue, _ schema: SchemaCheck, _ others: [String: (path: String, body: JSONValue?)]
  ) async throws {
    let rehearsals = Self.rehearsals.merging(others) { $1 }
    // Nothing but the rehearsals may write meanwhile, so the watch's entries are told apart by their kind.
    let before = try await kinds(scene)
    for (path, methods) in try #require(document["paths"]?.objectValue) {
      for (method, writer) in methods.objectValue ?? [:] where method != "get" {
        let name = "\(method.uppercased()) \(path)"
        if Self.personal.contains(name) { continue }
        let rehearsal = try #require(rehearsals[name], "\(name) has no rehearsal in this test")
        let verb = try #require(APIClient.Method(rawValue: method.uppercased()))
        let (place, query) = Self.split(rehearsal.path)
        let answer = try await scene.client.send(
          verb, place, query: query + [("dryRun", "true")], body: rehearsal.body)
        let wanted = writer["responses"]?["200"]?["content"]?["application/json"]?["schema"]
        #expect(schema.problems(answer, wanted) == [], "\(name)")
        #expect(answer["dryRun"] == true && answer["steps"]?.arrayValue?.isEmpty == false, "\(name)")
      }
    }
    let after = try await kinds(scene)
    #expect(after == before, "\(after.prefix(after.count - before.count))")
    #expect(try await scene.instance().state == .active)
  }

  private static func split(_ path: String) -> (String, [(String, String?)]) {
    let parts = path.split(separator: "?").map(String.init)
    let query = parts.dropFirst().flatMap { $0.split(separator: "&") }.map { pair in
      let sides = pair.split(separator: "=").map(String.init)
      return (sides[0], Optional(sides[1]))
    }
    return (parts[0], query)
  }

  private func kinds(_ scene: Scene) async throws -> [String] {
    let kinds = try await scene.control.store.read { tx in
      try EvidenceLog().list(before: nil, limit: 500, in: tx).map(\.entry.kind.id)
    }
    return kinds.filter { $0 != "instance.checked" && $0 != "instance.status-changed" }
  }
}

/// The part of JSON Schema that the document uses.
struct SchemaCheck: Sendable {
  private let document: JSONValue

  init(_ document: JSONValue) { self.document = document }

  /// What of `value` does not fit, by its path.
  func problems(_ value: JSONValue, _ schema: JSONValue?, at path: String = "$") -> [String] {
    guard let schema else { return ["\(path) has no schema"] }
    if let reference = schema["$ref"]?.stringValue {
      let target = reference.split(separator: "/").dropFirst().reduce(Optional(document)) { $0?[String($1)] }
      return problems(value, target, at: path)
    }
    if let choices = schema["anyOf"]?.arrayValue {
      return choices.contains { problems(value, $0, at: path).isEmpty } ? [] : ["\(path) fits no choice"]
    }
    if let words = schema["enum"]?.arrayValue, !words.contains(value) { return ["\(path) is \(value.canonical)"] }
    return typed(value, schema, at: path)
  }

  private func typed(_ value: JSONValue, _ schema: JSONValue, at path: String) -> [String] {
    switch (schema["type"]?.stringValue, value) {
    case (nil, _), ("null", .null), ("boolean", .bool), ("integer", .integer), ("number", .integer),
      ("number", .number):
      return []
    case ("string", .string(let text)):
      if schema["format"] == "date-time", Timestamp(text) == nil { return ["\(path) is no time: \(text)"] }
      return []
    case ("array", .array(let elements)):
      return elements.enumerated().flatMap { problems($1, schema["items"], at: "\(path)[\($0)]") }
    case ("object", .object(let members)):
      let known = schema["properties"]?.objectValue
      let missing = (schema["required"]?.arrayValue ?? []).compactMap(\.stringValue).filter { members[$0] == nil }
      let other = schema["additionalProperties"]
      return missing.map { "\(path).\($0) is missing" }
        + members.flatMap { name, member -> [String] in
          guard let inner = known?[name] ?? other else {
            // An object without described members may hold anything.
            return known == nil ? [] : ["\(path).\(name) is not described"]
          }
          return problems(member, inner, at: "\(path).\(name)")
        }
    case (let type?, _):
      return ["\(path) is no \(type)"]
    }
  }
}
