import Basics
import OpenClaw
import TestSupport
import Testing

@testable import Credentials

@Suite("What may be kept as a credential")
struct IntakeTests {
  typealias Row = (value: String, surface: CredentialSurface, verdict: CredentialIntake.Verdict)

  static let hex64 = String(repeating: "0123456789abcdef", count: 4)
  /// 35 characters that no fixture has.
  static let tail = "AbCdEfGhIjKlMnOpQrStUvWxYz012345678"

  static let table: [Row] = [
    ("", .openAI, .empty),
    (String(repeating: "x", count: CredentialLimits.valueBytesMax + 1), .openAI, .tooLong),
    ("hunter2", .openAI, .unknown),
    ("aw-fixture-acme", .openAI, .unknown),
    ("sk-or-v1-\(hex64)", .openRouter, .looksReal(.openRouter)),
    ("sk-proj-\(tail)", .openAI, .looksReal(.openAI)),
    ("sk-\(tail)", .openAI, .looksReal(.openAI)),
    ("sk-ant-api03-\(tail)", .anthropic, .looksReal(.anthropic)),
    ("AIza\(tail)", .gemini, .looksReal(.gemini)),
    ("123456789:\(tail)", .telegram, .looksReal(.telegram)),
    ("xoxb-123456789012-123456789012-abcdefghijABCDEFGHIJ1234", .slack, .looksReal(.slack)),
    ("MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcdE.\(tail)", .discord, .looksReal(.discord)),
    // Of another vendor, it is a real one all the same.
    ("sk-ant-api03-\(tail)", .openAI, .looksReal(.anthropic)),
    ("AIza\(tail)", .telegram, .looksReal(.gemini)),
    // The mark alone makes no fixture: the check does.
    ("AIzaaw-fixture-acme------------0000000a", .gemini, .looksReal(.gemini)),
    ("xapp-1-A012ABCD345-123456789012-\(hex64)", .slackApp, .looksReal(.slackApp)),
    ("abc8Q~\(tail.dropLast())", .teams, .looksReal(.teams)), ("abc8Q~\(tail.dropLast())", .openAI, .looksReal(.teams)),
    (GoogleKey.file("bot@acme.iam.gserviceaccount.com"), .googleChat, .looksReal(.googleChat)),
    (#"{"type":"service_account","client_email":"bot@acme.iam.gserviceaccount.com"}"#, .googleChat, .unknown),
    (String(hex64.prefix(32)), .sms, .looksReal(.sms)),
    (String(hex64.prefix(32)), .slackSigning, .looksReal(.slackSigning)),
    ("syt_Ym90_abcdefghijklmnopqrst_1AbCdE", .matrix, .looksReal(.matrix)),
    // What has nearly any form is only taken for its own surface, and never for what another form tells.
    ("hunter2", .telegramWebhook, .looksReal(.telegramWebhook)), (String(hex64.prefix(32)), .openAI, .unknown),
    ("sk-ant-api03-\(tail)", .telegramWebhook, .looksReal(.anthropic)), ("hunter 2", .telegramWebhook, .unknown),
  ]

  @Test("each value is what it is", arguments: table.indices)
  func verdicts(index: Int) throws {
    let row = Self.table[index]
    let verdict = CredentialIntake.verdict(on: Secret(row.value), for: row.surface)
    #expect(verdict == row.verdict)
    let refusal = try #require(CredentialIntake.refusal(of: verdict, for: row.surface))
    // Nothing of what was refused is said back.
    if row.value.count > 8 {
      #expect(!refusal.description.contains(row.value.suffix(12)), "\(refusal)")
    }
  }

  @Test("a fixture is taken for its surface and for no other", arguments: CredentialSurface.allCases)
  func fixtures(surface: CredentialSurface) throws {
    let value = try FixtureValue.make(surface, name: "acme")
    for other in CredentialSurface.allCases {
      let verdict = CredentialIntake.verdict(on: Secret(value), for: other)
      #expect(verdict == (other == surface ? .fixture : .fixtureOf(surface)))
      #expect((CredentialIntake.refusal(of: verdict, for: other) == nil) == (other == surface))
    }
  }

  @Test("a fixture with any one character changed is none", arguments: CredentialSurface.allCases)
  func corrupted(surface: CredentialSurface) throws {
    var random = Seeded(state: 7)
    for length in 1...FixtureValue.nameCharactersMax {
      let value = try FixtureValue.make(surface, name: String(repeating: "n", count: length))
      #expect(FixtureValue.name(in: value, of: surface) == String(repeating: "n", count: length))
      #expect(surface != .gemini && surface != .telegram || surface.looksReal(value))
      // Of a whole file not each one: all of what makes it a fixture is in its first hundred.
      for place in Array(0..<min(value.count, 100)) + [value.count - 1] {
        var characters = Array(value)
        characters[place] = "x0-A".randomElement(using: &random).map { $0 == characters[place] ? "z" : $0 } ?? "z"
        #expect(FixtureValue.name(in: String(characters), of: surface) == nil)
      }
    }
  }

  @Test("a fixture's name has its form", arguments: ["", "Acme", "a b", "a-b", "ü", String(repeating: "a", count: 16)])
  func names(name: String) {
    #expect(throws: AWError(.usage, "", next: "")) { try FixtureValue.make(.openAI, name: name) }
  }
}

@Suite("References to secrets")
struct SecretRefTests {
  static let good: [(SecretRef.Source, String, String)] = [
    (.env, "default", "OPENAI_KEY"), (.store, "teamstore", "A"), (.file, "filemain", "value"),
    (.file, "filemain", "/a/b~1c/~0"), (.file, "f", "/"), (.exec, "aw", "orgs/acme/models.providers.openai.apiKey#v1"),
    (.exec, "a", String(repeating: "x", count: 256)),
  ]
  static let bad: [(SecretRef.Source, String, String)] = [
    (.env, "default", "openai"), (.env, "default", "1A"), (.env, "default", ""), (.env, "Default", "A"),
    (.env, "", "A"), (.env, "1a", "A"), (.store, "s", String(repeating: "A", count: 129)), (.file, "f", "a/b"),
    (.file, "f", "/a~2"), (.file, "f", ""), (.exec, "aw", "../x"), (.exec, "aw", "a/../b"), (.exec, "aw", "a/./b"),
    (.exec, "aw", "/a"), (.exec, "aw", "a b"), (.exec, "aw", String(repeating: "x", count: 257)),
    (.env, "default", "A\n"), (.exec, String(repeating: "a", count: 65), "a"),
  ]

  @Test("what OpenClaw takes is taken, and is the same when it is read again", arguments: good.indices)
  func taken(index: Int) throws {
    let (source, provider, id) = Self.good[index]
    let ref = try SecretRef(source: source, provider: provider, id: id)
    #expect(try JSONValue(encoding: ref).decode(SecretRef.self) == ref)
  }

  @Test("what OpenClaw refuses is refused by name", arguments: bad.indices)
  func refused(index: Int) {
    let (source, provider, id) = Self.bad[index]
    #expect(throws: AWError(.secretRefInvalid, "", next: "")) {
      try SecretRef(source: source, provider: provider, id: id)
    }
  }
}

@Suite("The file of vaults")
struct VaultSettingsTests {
  @Test("each kind is read")
  func whole() throws {
    let text = """
      {"writes": "bao", "vaults": {
        "vars": {"source": "env", "allowlist": ["A"]},
        "mounted": {"source": "file", "path": "/run/x.json"},
        "op": {"source": "exec", "command": "/usr/bin/op", "args": ["a"], "passEnv": ["HOME"], "env": {"B": "c"}},
        "bao": {"source": "kv", "address": "https://bao.example.com:8200/", "mount": "secret", "prefix": "aw",
                "roleId": "r", "secretIdFile": "/run/secret-id"}}}
      """
    let settings = try VaultSettings(parsing: Array(text.utf8))
    #expect(settings.writes == "bao" && settings.vaults.count == 4)
    #expect(settings.vaults["mounted"] == .file(path: "/run/x.json", isJSON: true))
  }

  static let wrong: [(text: String, says: String)] = [
    ("", "no JSON"), ("[]", "no JSON"), (#"{"vaults": {"Vars": {}}}"#, "name"),
    (#"{"vaults": {"sealed": {"source": "env"}}}"#, "name"),
    (#"{"vaults": {"a": {"source": "store"}}}"#, "source"), (#"{"vaults": {"a": {"source": "env"}}}"#, "allowlist"),
    (#"{"vaults": {"a": {"source": "file"}}}"#, "path"),
    (#"{"vaults": {"a": {"source": "file", "path": "x"}}}"#, "absolute"),
    (#"{"vaults": {"a": {"source": "file", "path": "/x", "mode": "yaml"}}}"#, "mode"),
    (#"{"vaults": {"a": {"source": "exec", "command": "op"}}}"#, "absolute"),
    (#"{"writes": "a", "vaults": {"a": {"source": "env", "allowlist": ["A"]}}}"#, "writes"),
    (kv("http://10.0.0.1:8200", "secret"), "address"), (kv("bao", "secret"), "address"),
    (kv("https://u:p@bao", "secret"), "address"), (kv("https://bao", "a/../b"), "mount"),
    (kv("https://bao", "/a"), "mount"),
  ]

  private static func kv(_ address: String, _ mount: String) -> String {
    #"{"vaults": {"a": {"source": "kv", "address": "\#(address)", "mount": "\#(mount)", "prefix": "aw", "roleId": "r","#
      + #" "secretIdFile": "/s"}}}"#
  }

  @Test("what is wrong is named", arguments: wrong.indices)
  func refused(index: Int) {
    do {
      _ = try VaultSettings(parsing: Array(Self.wrong[index].text.utf8))
      Issue.record("it was taken: \(Self.wrong[index].text)")
    } catch {
      #expect(error.code == .vaultSettings && error.message.contains(Self.wrong[index].says), "\(error)")
    }
  }
}

@Suite("Fingerprints")
struct FingerprintTests {
  @Test("one value has one fingerprint under one key, and another under another")
  func keyed() {
    let (one, other) = (Fingerprinter(key: Secret("k1")), Fingerprinter(key: Secret("k2")))
    #expect(one.fingerprint(of: Secret("v")) == one.fingerprint(of: Secret("v")))
    #expect(one.fingerprint(of: Secret("v")) != one.fingerprint(of: Secret("w")))
    #expect(one.fingerprint(of: Secret("v")) != other.fingerprint(of: Secret("v")))
    #expect(one.fingerprint(of: Secret("v")).wholeMatch(of: /hmac-sha256:v1:[0-9a-f]{8}:[0-9a-f]{32}/) != nil)
  }
}
