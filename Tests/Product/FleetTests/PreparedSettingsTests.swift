import Basics
import Testing

@testable import Fleet

@Suite("What an Instance was prepared with")
struct PreparedSettingsTests {
  private static let wanted: [String: JSONValue] = [
    "tools.exec.security": "deny", "tools.deny": ["group:fs"], "hooks.enabled": false,
  ]

  private func departure(_ prepared: [String: JSONValue], from wanted: [String: JSONValue] = wanted) throws -> AWError?
  {
    PreparedSettings.departure(prepared, from: wanted, of: try Slug("acme-main"))
  }

  @Test("it departs where it has less than its Org's baseline asks for now, by name, and nowhere else")
  func weaker() throws {
    #expect(try departure(Self.wanted) == nil)
    // An exception that ended.
    let ended = try #require(try departure(Self.wanted.merging(["tools.exec.security": "allowlist"]) { $1 }))
    #expect(ended.code == .gatewayDrifted && ended.message.contains(#"tools.exec.security ("allowlist", now "deny")"#))
    #expect(!ended.message.contains("hooks.enabled") && ended.next.contains("aw instance restart acme-main"))
    // A key that the baseline has had since.
    var older = Self.wanted
    older["hooks.enabled"] = nil
    #expect(try departure(older)?.message.contains("hooks.enabled (not set, now false)") == true)
    // Stricter than it has to be: an exception that counts from its next start on.
    #expect(try departure(Self.wanted.merging(["tools.deny": ["group:fs", "group:runtime"]]) { $1 }) == nil)
    #expect(try departure(Self.wanted, from: [:]) == nil)
  }
}
