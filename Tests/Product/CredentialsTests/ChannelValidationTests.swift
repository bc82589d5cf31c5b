import Addresses
import Basics
import Crypto
import CryptoExtras
import Evidence
import Fleet
import Foundation
import Store
import Synthetic
import TestSupport
import Testing

@testable import Credentials

extension VendorReadingTests {
  static let (tenant, app) = ("9c2e0c9b-1d51-4c0a-9c37-5b0f9d1c7b22", "6f1d0b0e-53c1-4f0e-8a5f-2f0a7c4f0a11")
  static let sid = "AC" + String(repeating: "a1", count: 16)

  private static func entra(_ code: Int) -> String {
    #"{"error":"invalid_client","error_description":"AADSTS\#(code): …","error_codes":[\#(code)]}"#
  }

  static let channels: [Row] = [
    Row(.slackApp, 200, #"{"ok":true,"url":"wss://wss.slack.com/link/?ticket=1&app_id=9f"}"#, .accepted("9f")),
    Row(.slackApp, 200, #"{"ok":true,"url":"wss://wss.slack.com/link/?ticket=1"}"#, .accepted(nil)),
    Row(.slackApp, 200, #"{"ok":true}"#, .unclear),
    Row(.slackApp, 200, #"{"ok":false,"error":"invalid_auth"}"#, .refused("invalid_auth")),
    Row(.slackApp, 200, #"{"ok":false,"error":"not_allowed_token_type"}"#, .refused("not_allowed_token_type")),
    Row(.slackApp, 200, #"{"ok":false,"error":"missing_scope"}"#, .refused("missing_scope")),
    Row(.slackApp, 200, #"{"ok":false,"error":"internal_error"}"#, .unclear),
    // Of a bot's token a scope that is missing says nothing: auth.test needs none.
    Row(.slack, 200, #"{"ok":false,"error":"missing_scope"}"#, .unclear),

    Row(.teams, 200, #"{"token_type":"Bearer","expires_in":3599,"access_token":"e"}"#, .accepted(nil)),
    Row(.teams, 200, #"{"token_type":"Bearer","access_token":""}"#, .unclear),
    Row(.teams, 401, entra(7_000_215), .refused("AADSTS7000215")),
    Row(.teams, 401, entra(7_000_222), .refused("AADSTS7000222")),
    Row(.teams, 400, entra(700_016), .refused("AADSTS700016")),
    Row(.teams, 400, entra(90_002), .refused("AADSTS90002")),
    // About where it was asked from, how, or how often; not about the secret.
    Row(.teams, 400, entra(53_003), .unclear), Row(.teams, 400, entra(900_144), .unclear),
    Row(.teams, 401, entra(50_196), .unclear), Row(.teams, 401, #"{"error":"invalid_client"}"#, .unclear),

    Row(.googleChat, 200, #"{"access_token":"y","expires_in":3599,"token_type":"Bearer"}"#, .accepted(nil)),
    Row(
      .googleChat, 400, #"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#,
      .refused("invalid_grant")),
    Row(
      .googleChat, 400, #"{"error":"invalid_grant","error_description":"Invalid grant: account not found"}"#,
      .refused("invalid_grant")),
    // The same word, and it is the clock.
    Row(
      .googleChat, 400,
      #"{"error":"invalid_grant","error_description":"Token must be short-lived and in a reasonable timeframe."}"#,
      .unclear),
    Row(.googleChat, 401, #"{"error":"deleted_client"}"#, .refused("deleted_client")),
    Row(.googleChat, 400, #"{"error":"invalid_scope"}"#, .unclear),

    Row(.sms, 200, #"{"sid":"\#(sid)","status":"active"}"#, .accepted(sid), with: ["accountSid": sid]),
    Row(.sms, 200, #"{"sid":"AC0","status":"active"}"#, .unclear, with: ["accountSid": sid]),
    Row(
      .sms, 200, #"{"sid":"\#(sid)","status":"suspended"}"#, .refused("the account is suspended"),
      with: ["accountSid": sid]),
    Row(.sms, 401, #"{"code":20003,"message":"Authenticate"}"#, .refused("20003")),
    Row(.sms, 403, #"{"code":20008}"#, .unclear), Row(.sms, 404, #"{"code":20404}"#, .unclear),

    Row(.matrix, 200, #"{"user_id":"@bot:acme.example","device_id":"D"}"#, .accepted("@bot:acme.example")),
    Row(.matrix, 200, #"{"user_id":"bot"}"#, .unclear),
    Row(.matrix, 401, #"{"errcode":"M_UNKNOWN_TOKEN","soft_logout":true}"#, .refused("M_UNKNOWN_TOKEN")),
    Row(.matrix, 403, #"{"errcode":"M_USER_DEACTIVATED"}"#, .refused("M_USER_DEACTIVATED")),
    Row(.matrix, 401, #"{"errcode":"M_USER_LOCKED","soft_logout":true}"#, .unclear),
    Row(.matrix, 403, #"{"errcode":"M_FORBIDDEN"}"#, .unclear),
    Row(.matrix, 404, #"{"errcode":"M_UNRECOGNIZED"}"#, .unclear),
  ]
}

@Suite("Credentials of channels at their vendors")
struct ChannelValidationTests {
  private typealias Table = VendorReadingTests

  struct Case: Sendable {
    let surface: CredentialSurface
    let value: String
    var settings: [String: String] = [:]
    /// Nil: whatever the vendor says.
    let identity: String?
  }

  static let cases = [
    Case(surface: .slackApp, value: "xapp-1-A012ABCD345-123456789012-\(IntakeTests.hex64)", identity: nil),
    Case(
      surface: .teams, value: "abc8Q~\(IntakeTests.tail.dropLast())",
      settings: ["appId": VendorReadingTests.app, "tenantId": VendorReadingTests.tenant],
      identity: "\(VendorReadingTests.tenant)/\(VendorReadingTests.app)"),
    Case(
      surface: .googleChat, value: GoogleKey.file("bot@acme.iam.gserviceaccount.com"),
      identity: "bot@acme.iam.gserviceaccount.com"),
    Case(
      surface: .sms, value: String(IntakeTests.hex64.prefix(32)), settings: ["accountSid": VendorReadingTests.sid],
      identity: VendorReadingTests.sid),
    Case(
      surface: .matrix, value: "syt_Ym90_abcdefghijklmnopqrst_1AbCdE",
      settings: ["homeserver": "https://matrix.acme.example"],
      identity: "@acme:matrix.invalid"),
  ]

  @Test(
    "under a gate each is shown to its vendor as that asks for it, and belongs to an account there", arguments: cases)
  func gated(_ one: Case) async throws {
    try await CredentialWorld.withVendors { world, desk in
      let (acme, actor) = (try Slug("acme"), CredentialWorld.actor)
      try await world.open([one.surface])
      let made = try await world.setGated(one.value, one.surface, with: one.settings)
      #expect(made.settings == one.settings)
      #expect(try await world.service.validate(one.surface, org: acme, as: actor).status == .invalid)
      desk.admit(one.value, as: "acme")
      let standing = try await world.service.validate(one.surface, org: acme, as: actor)
      #expect(standing.status == .valid, "\(standing)")
      let identity = try #require(standing.credential.identity)
      #expect(!identity.hasPrefix("key/") && (one.identity == nil || identity == one.identity), "\(identity)")
      desk.revoke(one.value)
      #expect(try await world.service.validate(one.surface, org: acme, as: actor).status == .invalid)
      #expect(desk.strays == 0 && desk.asked(at: .fixtures) == 0)
    }
  }

  @Test("the same account in two Orgs blocks both, at every vendor", arguments: CredentialSurface.asked)
  func shared(surface: CredentialSurface) async throws {
    try await ValidationTests.with { world in
      for org in ["acme", "globex"] {
        try await world.set(surface, "same", org: org)
        _ = try await world.service.validate(surface, org: try Slug(org), as: CredentialWorld.actor)
      }
      // Of Gemini nobody knows more than the value itself, and that is the same too.
      for org in ["acme", "globex"] {
        #expect(try await world.service.standing(surface, org: try Slug(org)).status == .shared)
      }
      try await world.set(surface, "other", org: "globex")
      _ = try await world.service.validate(surface, org: try Slug("globex"), as: CredentialWorld.actor)
      for org in ["acme", "globex"] {
        #expect(try await world.service.standing(surface, org: try Slug(org)).status == .valid)
      }
    }
  }

  @Test("what belongs to a value is asked for with it, has its form, and stays where nothing else is said")
  func settings() async throws {
    try await CredentialWorld.with { world in
      try await world.open([.sms, .teams, .matrix, .slack])
      func fails(_ code: ErrorCode, _ says: String, _ body: () async throws -> Void) async {
        do {
          try await body()
          Issue.record("it was taken")
        } catch let error as AWError {
          #expect(error.code == code && "\(error.message) \(error.next)".contains(says), "\(error)")
        } catch { Issue.record("\(error)") }
      }
      let token = String(IntakeTests.hex64.prefix(32))
      await fails(.credentialShape, "account SID") { try await world.setGated(token, .sms) }
      await fails(.credentialShape, "account SID") {
        try await world.setGated(token, .sms, with: ["accountSid": "AC1"])
      }
      await fails(.credentialShape, "account SID") {
        try await world.setGated(token, .sms, with: ["accountSid": "AC" + String(repeating: "0", count: 32)])
      }
      await fails(.usage, "accountSid") { try await world.setGated(token, .sms, with: ["sid": VendorReadingTests.sid]) }
      await fails(.usage, "has none") {
        try await world.setGated(
          "xoxb-123456789012-123456789012-abcdefghijABCDEFGHIJ1234", .slack, with: ["team": "T1"])
      }
      for server in ["http://matrix.example.org", "https://u:p@matrix.example.org", "https://a.example/x", "matrix"] {
        await fails(.credentialShape, "homeserver") {
          try await world.setGated("syt_Ym90_abcdefghijklmnopqrst_1AbCdE", .matrix, with: ["homeserver": server])
        }
      }
      #expect(try await world.kept() == [])
      let first = try await world.setGated(token, .sms, with: ["accountSid": " \(VendorReadingTests.sid)\n"])
      #expect(first.settings == ["accountSid": VendorReadingTests.sid])
      let second = try await world.setGated(String(token.reversed()), .sms)
      #expect(second.settings == first.settings)
      let entry = try #require(try await world.entries().last { $0.kind == .credentialSet })
      #expect(entry.data["settings"]?["accountSid"]?.stringValue == VendorReadingTests.sid)
      // A fixture has those of its name, and nobody says others.
      let fixture = try await world.set(.sms, "acme")
      #expect(fixture.settings["accountSid"]?.hasPrefix("AC00000000000000000000") == true)
      await fails(.usage, "settings of its own") {
        _ = try await world.service.set(
          .init(surface: CredentialSurface.sms.rawValue, settings: ["accountSid": VendorReadingTests.sid]),
          value: Secret(try FixtureValue.make(.sms, name: "acme")), org: try Slug("acme"), as: CredentialWorld.actor)
      }
      // And they do not go on to a real value.
      await fails(.credentialShape, "missing") { try await world.setGated(token, .sms) }
    }
  }

  @Test("a value that nobody can be asked about is kept by its form, which is said; one value in two Orgs blocks both")
  func shapeOnly() async throws {
    try await CredentialWorld.withVendors { world, desk in
      let (acme, globex, actor) = (try Slug("acme"), try Slug("globex"), CredentialWorld.actor)
      for surface in CredentialSurface.allCases where surface.vendor == nil {
        try await world.set(surface)
        #expect(try await world.service.standing(surface, org: acme).status == .shapeOnly)
        await CredentialVaultTests.fails(.credentialUncheckable) {
          _ = try await world.service.validate(surface, org: acme, as: actor)
        }
      }
      #expect(desk.asked(at: .fixtures) == 0)
      let secret = String(IntakeTests.hex64.prefix(32))
      try await world.open([.slackSigning])
      try await world.open([.slackSigning], org: "globex")
      try await world.setGated(secret, .slackSigning)
      try await world.setGated(secret, .slackSigning, org: "globex")
      #expect(try await world.service.standing(.slackSigning, org: acme).sharedWith == [globex])
      #expect(try await world.service.standing(.slackSigning, org: acme).status == .shared)
      try await world.setGated(String(secret.reversed()), .slackSigning, org: "globex")
      #expect(try await world.service.standing(.slackSigning, org: acme).status == .shapeOnly)
    }
  }

  @Test("a server that somebody names is none of AW's neighbours, and nothing is sent to it")
  func homeserver() async throws {
    try await CredentialWorld.with { world in
      try await world.open([.matrix])
      let settings = ["homeserver": "https://matrix.acme.example"]
      let made = try await world.setGated("syt_Ym90_abcdefghijklmnopqrst_1AbCdE", .matrix, with: settings)
      let gate = try await world.store.read { tx in
        try CredentialsService.openGate(
          for: GateUse(org: made.org, surface: .matrix, class: .real), org: try Slug("acme"), CredentialWorld.trust,
          at: CredentialWorld.now, in: tx)
      }
      for (address, says) in [("127.0.0.1", "loopback"), ("10.0.0.7", "private"), ("169.254.169.254", "metadata")] {
        let courier = VendorCourier(
          vendors: nil, endpoints: .published,
          budget: EgressBudget(store: world.store, clock: world.time.clock, egress: "x"), clock: world.time.clock,
          resolver: AddressResolver { _ in [NetworkAddress(address)].compactMap { $0 } })
        let found = try await courier.validate(
          Secret("syt_Ym90_abcdefghijklmnopqrst_1AbCdE"), allowedBy: gate, try VendorCheck(.matrix, settings))
        #expect(found.outcome == .indeterminate && found.reason.contains(says), "\(found)")
      }
    }
  }

  @Test("what a service account signs is for Google alone, for a minute, and a wrong clock is told apart")
  func assertion() async throws {
    let value = try FixtureValue.make(.googleChat, name: "acme")
    let account = try #require(GoogleServiceAccount(parsing: value))
    let text = try #require(account.assertion(at: CredentialWorld.now)).withText { $0 }
    let parts = text.split(separator: ".").map(String.init)
    let claims = try JSONValue(parsing: try #require(Base64URL.decode(parts[1])))
    #expect(claims["iss"]?.stringValue == account.email && claims["aud"] == "https://oauth2.googleapis.com/token")
    #expect((claims["exp"]?.intValue ?? 0) - (claims["iat"]?.intValue ?? 0) == 60)
    let pem = GoogleServiceAccount.fixtureKey.replacing(#"\n"#, with: "\n")
    let signature = _RSA.Signing.RSASignature(rawRepresentation: Data(try #require(Base64URL.decode(parts[2]))))
    #expect(
      try _RSA.Signing.PrivateKey(pemRepresentation: pem).publicKey.isValidSignature(
        signature, for: Data("\(parts[0]).\(parts[1])".utf8), padding: .insecurePKCS1v1_5))
    try await ValidationTests.with { world in
      try await world.set(.googleChat)
      world.time.advance(.seconds(3_600))
      let standing = try await world.service.validate(.googleChat, org: try Slug("acme"), as: CredentialWorld.actor)
      #expect(standing.status == .indeterminate)
      #expect(standing.credential.lastValidated?.reason.contains("clock") == true, "\(standing)")
    }
  }

  @Test("a form carries what is in a secret, whatever characters it has")
  func escaped() throws {
    let check = try VendorCheck(.teams, ["appId": VendorReadingTests.app, "tenantId": VendorReadingTests.tenant])
    let question = check.question(with: Secret("a+b&c=d e~.ü"))
    #expect(question.path.withText { $0 } == "/\(VendorReadingTests.tenant)/oauth2/v2.0/token")
    #expect(question.body?.withText { $0.contains("client_secret=a%2Bb%26c%3Dd%20e~.%C3%BC&") } == true)
  }

  @Test(
    "a channel whose device is linked has nothing to keep, and that is what is said",
    arguments: ["channels.whatsapp", "channels.whatsapp.creds", "channels.signal.account"])
  func linked(name: String) {
    do {
      _ = try CredentialSurface(named: name)
      Issue.record("there is one")
    } catch {
      #expect(error.code == .surfaceUnknown && error.message.contains("linked device"), "\(error)")
    }
    for name in ["channels.signals", "channels.irc.password"] {
      #expect(throws: AWError(.surfaceUnknown, "", next: "")) { _ = try CredentialSurface(named: name) }
    }
  }
}
