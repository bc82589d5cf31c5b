import Basics
import Testing

@testable import OpenClaw

@Suite("How strict a configuration is")
struct StrictnessTests {
  /// Values that a key may have, enough to meet every relation between two of them.
  private static func values(_ order: Strictness) -> [JSONValue] {
    switch order {
    case .flag: [true, false]
    case .ranked(let words): words.map { .string($0) }
    case .denied: [[], ["a"], ["b"], ["a", "b"], ["b", "a", "a"], ["a", "c"], ["group:fs", "*"]]
    }
  }

  @Test("every key's values are a partial order: what is at least as strict is so through others too")
  func order() {
    for key in GovernedKey.all {
      let (order, values) = (key.order, Self.values(key.order))
      for a in values {
        #expect(order.verdict(of: a, against: a) == .equal && order.accepts(a), "\(key.path)")
        for b in values {
          let (there, back) = (order.verdict(of: a, against: b), order.verdict(of: b, against: a))
          switch there {
          case .equal: #expect(back == .equal && order.normal(a) == order.normal(b))
          case .stricter: #expect(back == .weaker)
          case .weaker: #expect(back == .stricter)
          case .incomparable: #expect(back == .incomparable)
          }
          for c in values where there.isAtLeastAsStrict && order.verdict(of: b, against: c).isAtLeastAsStrict {
            #expect(order.verdict(of: a, against: c).isAtLeastAsStrict, "\(key.path): \(a) \(b) \(c)")
          }
        }
      }
    }
  }

  static let refusals: [(Strictness, JSONValue)] = [
    (.flag(strict: true), "true"), (.flag(strict: true), 1), (.ranked(["a", "b"]), "c"), (.ranked(["a", "b"]), true),
    (.denied, "a"), (.denied, [1]), (.denied, ["a b"]), (.denied, [""]),
    (.denied, .array((0...64).map { .string("t\($0)") })), (.denied, .null),
  ]

  @Test("what a key cannot have is refused, and no stricter than anything", arguments: refusals)
  func refused(order: Strictness, value: JSONValue) {
    #expect(!order.accepts(value))
    for other in Self.values(order) { #expect(order.verdict(of: value, against: other) == .incomparable) }
  }

  @Test("governed keys stand in the configuration where OpenClaw reads them, and only those that the release knows")
  func configuration() throws {
    var settings = InstanceConfiguration.Settings(port: 1, bind: .loopback)
    settings.hardening = [
      "tools.exec.security": "deny", "session.dmScope": "per-account-channel-peer", "logging.audit.enabled": true,
      "not.governed": true,
    ]
    let newest = InstanceConfiguration.make(settings, for: GatewayVersion(2026, 9, 5))
    #expect(newest.value(at: "tools.exec.security") == "deny")
    #expect(newest.value(at: "session.dmScope") == "per-account-channel-peer")
    #expect(newest.value(at: "logging.audit.enabled") == true)
    #expect(newest.value(at: "gateway.mode") == "local" && newest["not"] == nil)
    for version in [GatewayVersion(2026, 7, 1), nil] {
      let older = InstanceConfiguration.make(settings, for: version)
      #expect(older["logging"] == nil && older.value(at: "tools.exec.security") == "deny")
    }
  }

  @Test("policy.jsonc asks for what was set, and for what is stricter")
  func policy() {
    let policy = PolicyFile.make([
      "tools.exec.security": "allowlist", "tools.profile": "messaging", "tools.elevated.enabled": false,
      "tools.deny": ["group:fs"], "session.dmScope": "per-channel-peer", "tools.fs.workspaceOnly": false,
      "gateway.http.endpoints.responses.enabled": false,
    ])
    #expect(policy.value(at: "tools.exec.allowSecurity") == ["allowlist", "deny"])
    #expect(policy.value(at: "tools.profiles.allow") == ["messaging", "minimal"])
    #expect(policy.value(at: "tools.elevated.allow") == false)
    #expect(policy.value(at: "tools.denyTools") == ["group:fs"])
    #expect(policy.value(at: "ingress.session.requireDmScope") == "per-channel-peer")
    #expect(policy.value(at: "tools.fs") == nil, "what is loose is no requirement")
    #expect(policy.value(at: "gateway.http.denyEndpoints") == ["responses"])
  }
}
