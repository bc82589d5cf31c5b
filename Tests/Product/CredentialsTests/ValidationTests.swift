import Basics
import Evidence
import Foundation
import Synthetic
import TestSupport
import Testing
import Vault

@testable import Credentials

@Suite("What a vendor's answer shows")
struct VendorReadingTests {
  struct Row: Sendable {
    let surface: CredentialSurface
    let status: Int
    let body: String
    var headers: [String: String] = [:]
    var settings: [String: String] = [:]
    let reading: Expected

    enum Expected: Equatable, Sendable { case accepted(String?), refused(String), unclear }

    init(
      _ surface: CredentialSurface, _ status: Int, _ body: String, _ reading: Expected,
      _ headers: [String: String] = [:], with settings: [String: String] = [:]
    ) {
      (self.surface, self.status, self.body, self.reading, self.headers) = (surface, status, body, reading, headers)
      self.settings = settings
    }
  }

  static let portal = "<!doctype html><title>Sign in</title>"

  static let models: [Row] = [
    Row(.openRouter, 200, #"{"data":{"label":"sk-or-v1-au7...890","creator_user_id":"user_1"}}"#, .accepted("user_1")),
    Row(.openRouter, 200, #"{"data":{"label":"sk-or-v1-au7...890"}}"#, .accepted(nil)),
    Row(.openRouter, 401, #"{"error":{"code":401,"message":"User not found."}}"#, .refused("401")),
    // The list of models, which anybody gets.
    Row(.openRouter, 200, #"{"data":[{"id":"x"}]}"#, .unclear),
    Row(.openRouter, 403, #"{"error":{"code":403}}"#, .unclear), Row(.openRouter, 401, "{}", .unclear),
    Row(.openAI, 200, #"{"object":"user","id":"user-1"}"#, .accepted("user-1")),
    Row(.openAI, 200, #"{"object":"list","data":[]}"#, .unclear),
    Row(.openAI, 401, #"{"error":{"code":"invalid_api_key"}}"#, .refused("invalid_api_key")),
    Row(.openAI, 401, #"{"error":{"code":"account_deactivated"}}"#, .refused("account_deactivated")),
    // An address that may not ask is no word about the key.
    Row(.openAI, 401, #"{"error":{"code":"ip_not_authorized"}}"#, .unclear),
    Row(.openAI, 403, #"{"error":{"message":"Missing scopes: api.me.read"}}"#, .unclear),
    Row(.openAI, 403, #"{"error":{"code":"unsupported_country_region_territory"}}"#, .unclear),
    Row(.anthropic, 200, #"{"data":[]}"#, .accepted("org"), ["anthropic-organization-id": "org"]),
    Row(.anthropic, 200, #"{"data":[]}"#, .accepted(nil)),
    Row(
      .anthropic, 401, #"{"type":"error","error":{"type":"authentication_error"}}"#, .refused("authentication_error")),
    Row(.anthropic, 403, #"{"type":"error","error":{"type":"permission_error"}}"#, .unclear),
    Row(.anthropic, 529, #"{"type":"error","error":{"type":"overloaded_error"}}"#, .unclear),
    Row(.gemini, 200, #"{"models":[]}"#, .accepted(nil)),
    Row(.gemini, 400, #"{"error":{"details":[{"reason":"API_KEY_INVALID"}]}}"#, .refused("API_KEY_INVALID")),
    Row(.gemini, 400, #"{"error":{"status":"INVALID_ARGUMENT"}}"#, .unclear),
    Row(.gemini, 403, #"{"error":{"details":[{"reason":"SERVICE_DISABLED"}]}}"#, .unclear),
    Row(.telegram, 200, #"{"ok":true,"result":{"id":42,"is_bot":true}}"#, .accepted("42")),
    Row(.telegram, 200, #"{"ok":true,"result":{"id":42,"is_bot":false}}"#, .unclear),
    Row(.telegram, 200, #"{"ok":true}"#, .unclear),
    Row(.telegram, 401, #"{"ok":false,"error_code":401}"#, .refused("401")),
    Row(.telegram, 404, #"{"ok":false,"error_code":404}"#, .refused("404")), Row(.telegram, 404, "{}", .unclear),
    Row(.slack, 200, #"{"ok":true,"team_id":"T1","user_id":"U1","bot_id":"B1"}"#, .accepted("T1/B1")),
    Row(.slack, 200, #"{"ok":true,"team_id":"T1","user_id":"U1"}"#, .accepted("T1/U1")),
    Row(.slack, 200, #"{"ok":true}"#, .unclear),
    Row(.slack, 200, #"{"ok":false,"error":"invalid_auth"}"#, .refused("invalid_auth")),
    Row(.slack, 200, #"{"ok":false,"error":"account_inactive"}"#, .refused("account_inactive")),
    Row(.slack, 200, #"{"ok":false,"error":"token_revoked"}"#, .refused("token_revoked")),
    Row(.slack, 200, #"{"ok":false,"error":"internal_error"}"#, .unclear),
    Row(.slack, 200, #"{"ok":false,"error":"ratelimited"}"#, .unclear),
    Row(.slack, 401, #"{"ok":false,"error":"invalid_auth"}"#, .unclear),
    Row(.discord, 200, #"{"id":"1","bot":true}"#, .accepted("1")),
    Row(.discord, 401, #"{"message":"401: Unauthorized","code":0}"#, .refused("401")),
    Row(.discord, 401, #"{"message":"blocked by the proxy"}"#, .unclear),
    Row(.discord, 403, #"{"message":"403: Forbidden"}"#, .unclear),
  ]
  static let table = models + channels

  @Test("each row of the vendors' truth tables", arguments: table.indices)
  func rows(index: Int) throws {
    let row = Self.table[index]
    let reading = try VendorCheck(row.surface, row.settings).reading(
      of: .init(status: row.status, headers: row.headers, body: Array(row.body.utf8)))
    #expect(Self.expected(reading) == row.reading, "\(reading)")
  }

  @Test(
    "what is not the vendor's own word proves nothing, at any vendor",
    arguments: CredentialSurface.asked, [200, 204, 301, 302, 400, 401, 403, 404, 407, 429, 500, 502, 503])
  func unclear(surface: CredentialSurface, status: Int) throws {
    for body in ["", portal, "[]", "null", "{}", #"{"status":"fine"}"#, "{"] {
      let reading = try VendorCheck(surface).reading(of: .init(status: status, body: Array(body.utf8)))
      #expect(Self.expected(reading) == .unclear, "\(reading) of \(body)")
    }
  }

  private var portal: String { Self.portal }

  private static func expected(_ reading: VendorCheck.Reading) -> Row.Expected {
    switch reading {
    case .accepted(let identity): .accepted(identity)
    case .refused(let word): .refused(word)
    case .unclear: .unclear
    }
  }

  @Test("only a value that was let in, with a corrupted copy that was not, is valid")
  func verdicts() {
    let readings: [VendorCheck.Reading] = [.accepted(identity: "a"), .refused("401"), .unclear("x")]
    for real in readings {
      for control in readings.map(Optional.some) + [nil] {
        let outcome = ValidationVerdict.outcome(of: real, control: control).outcome
        switch (real, control) {
        case (.accepted, .refused?): #expect(outcome == .valid)
        case (.refused, _): #expect(outcome == .invalid)
        default: #expect(outcome == .indeterminate)
        }
      }
    }
  }

  @Test("a corrupted copy differs in one character and keeps its form", arguments: CredentialSurface.asked)
  func corrupted(surface: CredentialSurface) throws {
    for name in ["a", "acme", "zzz999"] {
      let check = try VendorCheck(surface)
      let proof = try #require(
        check.proof(of: Secret(try FixtureValue.make(surface, name: name)), at: CredentialWorld.now))
      let copy = try #require(check.corrupted(proof))
      let (text, value) = (copy.withText { $0 }, proof.withText { $0 })
      #expect(zip(text, value).filter { $0 != $1 }.count == 1 && text.count == value.count)
      #expect(surface.looksReal(text) == surface.looksReal(value))
    }
    #expect(ValidationVerdict.corrupted(Secret("--")) == nil && ValidationVerdict.corrupted(Secret("")) == nil)
  }
}

@Suite("Validating credentials at the simulated vendors")
struct ValidationTests {
  static func with(_ body: @escaping @Sendable (CredentialWorld) async throws -> Void) async throws {
    let server = try await FixtureModelServer.open(
      host: "127.0.0.1", port: 0, key: Secret("k"), clock: WallClock { CredentialWorld.now },
      logger: TestStores.logger)
    let serving = Task { try await server.run() }
    defer { serving.cancel() }
    let url = try #require(URL(string: "http://127.0.0.1:\(server.port)/vendors"))
    try await CredentialWorld.with(vendors: FixtureVendors(url: url)) { try await body($0) }
  }

  @Test(
    "a good one is valid, with its identity; the record says when it was resolved",
    arguments: CredentialSurface.asked)
  func valid(surface: CredentialSurface) async throws {
    try await Self.with { world in
      let acme = try Slug("acme")
      let made = try await world.set(surface)
      #expect(try await world.service.standing(surface, org: acme).status == .present)
      let standing = try await world.service.validate(surface, org: acme, as: CredentialWorld.actor)
      #expect(standing.status == .valid, "\(standing)")
      let identity = try #require(standing.credential.identity)
      #expect(surface != .gemini || identity == "key/\(made.fingerprint)")
      #expect(standing.credential.lastResolved?.by == "validation")
      #expect(try await world.service.standing(surface, org: acme) == standing)
      let entry = try #require(try await world.entries().last)
      #expect(entry.kind == .credentialValidated && entry.data["outcome"] == "valid")
    }
  }

  static let tempers: [(name: String, status: CredentialStatus, says: String)] = [
    ("revoked1", .invalid, "refuses"), ("limited1", .indeterminate, "429"), ("broken1", .indeterminate, "503"),
    ("portal1", .indeterminate, "no JSON"), ("open1", .indeterminate, "does not check"),
    ("moved1", .indeterminate, "elsewhere"), ("odd1", .indeterminate, "no form"),
  ]

  @Test("every trap is seen, at every vendor", arguments: CredentialSurface.asked)
  func traps(surface: CredentialSurface) async throws {
    try await Self.with { world in
      for temper in Self.tempers {
        try await world.set(surface, temper.name)
        let standing = try await world.service.validate(surface, org: try Slug("acme"), as: CredentialWorld.actor)
        #expect(standing.status == temper.status, "\(temper.name): \(standing)")
        let reason = standing.credential.lastValidated?.reason ?? ""
        #expect(reason.contains(temper.says), "\(temper.name): \(reason)")
        #expect(standing.credential.identity == nil)
      }
    }
  }

  @Test("the same identity in two Orgs blocks both, until one of them has another")
  func shared() async throws {
    try await Self.with { world in
      let (acme, globex, actor) = (try Slug("acme"), try Slug("globex"), CredentialWorld.actor)
      try await world.set(.slack, "same")
      #expect(try await world.service.validate(.slack, org: acme, as: actor).status == .valid)
      try await world.set(.slack, "same", org: "globex")
      #expect(try await world.service.standing(.slack, org: acme).status == .valid)
      let second = try await world.service.validate(.slack, org: globex, as: actor)
      #expect(second.status == .shared && second.sharedWith == [acme])
      let first = try await world.service.standing(.slack, org: acme)
      #expect(first.status == .shared && first.sharedWith == [globex])
      try await world.set(.slack, "other", org: "globex")
      #expect(try await world.service.standing(.slack, org: acme).status == .valid)
      #expect(try await world.service.standing(.slack, org: globex).status == .present)
      // What an earlier version proved is kept, and counts no more.
      #expect(try await world.service.standing(.slack, org: globex).credential.lastValidated?.version == 1)
    }
  }

  @Test("a value that changed in its vault behind AW's back is invalid, and is not sent anywhere")
  func swapped() async throws {
    try await Self.with { world in
      let made = try await world.set()
      try await world.sealed.put(Secret("sk-proj-other"), at: try SecretReference(made.place.key))
      let standing = try await world.service.validate(.openAI, org: try Slug("acme"), as: CredentialWorld.actor)
      #expect(standing.status == .invalid)
      #expect(standing.credential.lastValidated?.reason.contains("another value") == true)
    }
  }

  @Test("without simulated vendors nothing is validated; with ones that are gone nothing is proven")
  func missing() async throws {
    try await CredentialWorld.with { world in
      try await world.set()
      await CredentialVaultTests.fails(.validatorMissing) {
        _ = try await world.service.validate(.openAI, org: try Slug("acme"), as: CredentialWorld.actor)
      }
      await CredentialVaultTests.fails(.credentialUnknown) {
        _ = try await world.service.validate(.slack, org: try Slug("acme"), as: CredentialWorld.actor)
      }
    }
    let nobody = try #require(URL(string: "http://127.0.0.1:9/vendors"))
    try await CredentialWorld.with(vendors: FixtureVendors(url: nobody)) { world in
      try await world.set()
      let standing = try await world.service.validate(.openAI, org: try Slug("acme"), as: CredentialWorld.actor)
      #expect(standing.status == .indeterminate)
    }
  }

  @Test("a valid one counts for 30 days")
  func expiry() throws {
    let start = CredentialWorld.now
    let validation = Validation(version: 1, outcome: .valid, reason: "", identity: "i", at: start)
    let credential = Credential(
      org: .make(at: start), surface: .openAI,
      reference: .fixture(FixtureSecretRef(try Credential.ref(org: try Slug("acme"), .openAI, version: 1))), version: 1,
      place: .init(vault: "sealed", key: "k", isOwn: true), fingerprint: "f", setBy: "x", setAt: start,
      lastValidated: validation)
    let end = start.advanced(by: .seconds(30 * 86_400))
    #expect(CredentialStatus.of(credential, isShared: false, at: end.advanced(by: .milliseconds(-1))) == .valid)
    #expect(CredentialStatus.of(credential, isShared: false, at: end) == .expired)
    #expect(CredentialStatus.of(credential, isShared: true, at: start) == .shared)
  }
}
