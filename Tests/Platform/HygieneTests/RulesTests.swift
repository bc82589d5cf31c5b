import Basics
import Crypto
import Foundation
import TestSupport
import Testing

@testable import Hygiene

@Suite("Rules of hygiene")
struct RulesTests {
  private static func item(
    _ data: JSONValue, kind: String = "org.created", actor: String = "system/local",
    subject: (type: String, id: String)? = nil, org: String? = nil, index: Int64 = 0
  ) -> HygieneItem {
    HygieneItem(index: index, kind: kind, actor: actor, subject: subject, org: org, data: data)
  }

  @Test("none of the corpus's hard negatives looks like a secret")
  func hardNegatives() throws {
    for item in Corpus(seed: 5, each: 4).negatives where item.context != "near miss" {
      let text = String(decoding: item.text, as: UTF8.self)
      let value = (try? JSONValue(parsing: text)) ?? ["says": .string(text)]
      let found = PatternRules.findings(in: Self.item(value))
      #expect(found.isEmpty, "\(item.context): \(text)")
    }
  }

  @Test(
    "what vendors publish of their forms is recognised",
    arguments: [
      ("openai-key", "sk-proj-abcdefghijklmnopqrstuvwx"), ("anthropic-key", "sk-ant-api03-abcdefghijklmnopqrstuvwx"),
      ("google-key", "AIza" + String(repeating: "b", count: 35)),
      ("slack-token", "xoxb-123456789012-123456789012-abcd"),
      ("bot-token", "https://api.telegram.org/bot1234567890:" + String(repeating: "c", count: 35) + "/getMe"),
      ("github-token", "ghp_" + String(repeating: "d", count: 36)), ("aws-key-id", "AKIAABCDEFGHIJKLMNOP"),
      ("url-with-password", "postgres://aw:hunter22@db.example.test/aw"),
      ("private-key", "-----BEGIN EC PRIVATE KEY-----"),
    ])
  func shapes(rule: String, text: String) {
    #expect(PatternRules.rule(for: "it said: \(text), and no more", field: "message") == rule)
  }

  @Test("a random text is only a secret where the field says so, and a fixture never is")
  func fields() {
    let random = "9f86d081884c7d659a2feaa0c55ad015"
    #expect(PatternRules.rule(for: random, field: "digest") == nil)
    #expect(PatternRules.rule(for: random, field: "gatewayToken") == "secret-field")
    #expect(PatternRules.rule(for: "sk-proj-aw-fixture-anna-----------1a2b3c4d", field: "apiKey") == nil)
    #expect(PatternRules.rule(for: "orgs/acme/channels.slack.botToken#v3", field: "token") == nil)
  }

  @Test("a field that no profile knows, and a kind without one, wait for a review")
  func unknown() {
    let profiles = FieldProfiles("org.created: slug word, name text, at time")
    let known: JSONValue = ["slug": "acme", "name": "Acme of Utrecht", "at": "2026-11-25T22:40:34.411Z"]
    #expect(profiles.findings(in: Self.item(known)).isEmpty)
    #expect(profiles.findings(in: Self.item(["colour": "red"])).map(\.rule) == ["unknown-field"])
    #expect(profiles.findings(in: Self.item([:], kind: "org.sold")).map(\.rule) == ["unknown-kind"])
    #expect(profiles.findings(in: Self.item(["slug": "a sentence of somebody"])).map(\.rule) == ["not-word"])
    #expect(profiles.findings(in: Self.item(["_sd": ["x"], "_sd_alg": "sha-256"])).isEmpty)
  }

  @Test(
    "what no profile has is dropped and counted, and named where the name is harmless",
    arguments: [
      (#"{"slug":"a"}"#, "org.created", #"{"slug":"a"}"#, [String]()),
      (#"{"_sd":["x"],"_sd_alg":"sha-256"}"#, "org.created", #"{"_sd":["x"],"_sd_alg":"sha-256"}"#, []),
      (
        #"{"colour":"red","slug":"a"}"#, "org.created", #"{"_dropped":{"count":1,"names":["colour"]},"slug":"a"}"#,
        ["colour"]
      ),
      (
        #"{"sk-1234":1,"favouriteColour":{"slug":"a"},"Anna":2}"#, "org.created",
        #"{"_dropped":{"count":3,"names":["favouriteColour"]}}"#, ["Anna", "favouriteColour", "sk-1234"]
      ),
      (#"{"slug":"a"}"#, "org.sold", #"{"_dropped":{"count":1,"names":["slug"]}}"#, ["slug"]),
      (
        #"{"_dropped":{"count":2,"names":["size"]},"colour":"red"}"#, "org.created",
        #"{"_dropped":{"count":3,"names":["size","colour"]}}"#, ["colour"]
      ),
    ])
  func closed(data: String, kind: String, kept: String, dropped: [String]) throws {
    let profiles = FieldProfiles("org.created: slug word, name text, contact commitment")
    let closed = profiles.closed(try JSONValue(parsing: data), of: kind)
    #expect(closed.data.canonical == kept && closed.names == dropped)
    #expect(profiles.closed(closed.data, of: kind).names.isEmpty)
  }

  @Test("a field in quarantine waits until somebody lets it stay, or until it is gone")
  func quarantine() {
    var run = HygieneRun(
      scanner: ExactScanner(key: SymmetricKey(size: .bits256)), profiles: FieldProfiles("k.k: says text"),
      kinds: .init(orgs: [], others: []), rules: [:])
    let data: JSONValue = ["_sd": ["x"], "_sd_alg": "sha-256", "_quarantined": ["says": "openai-key"]]
    for (index, beside) in [["says": "{}"], [:], ["other": "{}"], ["says": "{}"]].enumerated() {
      run.take(Self.item(data, kind: "k.k", index: Int64(index)), bytes: [], beside: beside)
    }
    #expect(run.open(.patterns) == [0, 3] && run.open(.personalData) == [] && run.unknown == [])
    run.review(3)
    #expect(run.open(.patterns) == [0])
    run.take(Self.item(["colour": "red"], kind: "k.k", index: 4), bytes: [])
    run.review(4)
    #expect(run.unknown == [4] && run.open(.personalData) == [])
  }

  @Test(
    "personal data is found by its form",
    arguments: [
      ("Ask anna.bakker@example.test about it", "an e-mail address"), ("call +31 6 12345678 first", "a phone number"),
      ("peer 31612345678@s.whatsapp.net", "a WhatsApp id"),
    ])
  func personal(text: String, rule: String) {
    let profiles = FieldProfiles("k.k: says text")
    #expect(profiles.findings(in: Self.item(["says": .string(text)], kind: "k.k")).map(\.rule) == [rule])
    #expect(
      PersonalDataRules.rule(for: "user@host is no address, 2026-11-25 no phone, ghcr.io/x@sha256:ab no person") == nil)
  }

  @Test("only what the log introduced as synthetic may be named in it")
  func provenance() {
    let org = "01a214de-2c6b-73ac-9a37-93ee1d52da87"
    let (real, host) = ("01a214de-2c6b-73ac-9a37-000000000000", "01a214de-2c6b-73ac-9a37-111111111111")
    var registry = ProvenanceRegistry(kinds: .init(orgs: ["org.created"], others: ["host.invited"]))
    #expect(!registry.take(Self.item([:], kind: "host.drained", subject: ("host", host))).isEmpty)
    #expect(registry.take(Self.item(["sort": "synthetic"], subject: ("org", org), org: org)).isEmpty)
    #expect(
      registry.take(Self.item(["sort": "real"], subject: ("org", real), org: real)).map(\.rule) == ["org", "org"])
    #expect(registry.take(Self.item([:], kind: "host.invited", subject: ("host", host))).isEmpty)
    #expect(registry.take(Self.item([:], kind: "host.drained", subject: ("host", host), org: org)).isEmpty)
    #expect(registry.take(Self.item([:], kind: "host.drained", actor: "user/\(real)")).map(\.rule) == ["operator"])
    #expect(registry.take(Self.item([:], kind: "act.refused", subject: ("operator", "anna"))).isEmpty)
    #expect(registry.count == 2)
  }

  @Test("a mask of OpenClaw's becomes a label that is always as wide and has none of the value's characters")
  func masks() {
    let masks = Masks(key: Secret("a key of the tests"))
    let text = masks.remasked(#"token sk-pro…wxyz and 0a1b2c\u2026f9e8, "sk-pro…wxyz" again"#)
    #expect(!text.contains("sk-pro") && !text.contains("wxyz") && !text.contains("0a1b2c") && !text.contains("f9e8"))
    let labels = text.matches(of: /\[masked ([0-9a-f]{8})\]/).map { String($0.output.1) }
    #expect(labels.count == 3 && labels[0] == labels[2] && labels[0] != labels[1])
    #expect(Masks(key: Secret("another key")).remasked("sk-pro…wxyz") != masks.remasked("sk-pro…wxyz"))
    #expect(masks.remasked("and so on… and on") == "and so on… and on")
  }

  @Test("a verdict says which checks ran over how many items; what a person looked at counts no more, a secret always")
  func verdict() {
    var scanner = ExactScanner(key: SymmetricKey(size: .bits256))
    scanner.insert(Array("a-secret-of-the-tests".utf8), as: "test/secret")
    var run = HygieneRun(
      scanner: scanner, profiles: FieldProfiles("k.k: says text"), kinds: .init(orgs: [], others: []),
      rules: [.patterns: "abc"])
    func take(_ index: Int64, _ text: String) {
      let item = Self.item(["says": .string(text)], kind: "k.k", index: index)
      run.take(item, bytes: Array(item.data.canonical.utf8))
    }
    take(0, "fine")
    take(1, "write to anna@example.test")
    take(2, "it was a-secret-of-the-tests")
    take(
      3, "H4sI" + Data(Corpus.gzip(Array("{\"t\":\"a-secret-of-the-tests\"}".utf8)).dropFirst(3)).base64EncodedString())
    let before = run.verdict(at: Timestamp(millisecondsSince1970: 0), tooPlain: ["test/pin"])
    #expect(before.items == 4 && before.outcome == .failed && before.tooPlain == ["test/pin"] && before.values == 1)
    #expect(before.checks.map(\.layer) == HygieneLayer.allCases && before.checks.allSatisfy { $0.items == 4 })
    #expect(before.checks.map(\.found) == [2, 0, 1, 0])
    run.review(1)
    run.review(2)
    #expect(run.verdict(at: Timestamp(millisecondsSince1970: 0), tooPlain: []).checks.map(\.found) == [2, 0, 0, 0])
  }
}
