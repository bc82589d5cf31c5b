import Basics
import Foundation
import Testing

@testable import Synthetic

/// The synthetic Gateway resolves SecretRefs to exec providers as OpenClaw does (`secrets.providers`, protocol v1).
@Suite("Exec providers of the synthetic Gateway", .timeLimit(.minutes(1)))
struct SecretSnapshotTests {
  /// A provider that answers what stands in the script, in a folder of its own.
  private func with(
    _ script: String, mode: Int = 0o700, timeout: Int64 = 5_000, link: Bool = false, trusted: String? = nil,
    _ body: (JSONValue, [String: String]) async throws -> Void
  ) async throws {
    let folder = NSTemporaryDirectory() + "aw-provider-" + Hex.encode([UInt8].random(count: 6))
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try Data(("#!/bin/sh\n" + script).utf8).write(to: URL(filePath: folder + "/real"))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: folder + "/real")
    if link { try FileManager.default.createSymbolicLink(atPath: folder + "/link", withDestinationPath: "real") }
    let provider: JSONValue = [
      "source": "exec", "command": .string("${FOLDER}/" + (link ? "link" : "real")), "timeoutMs": .integer(timeout),
      "trustedDirs": [.string(trusted ?? "${FOLDER}")], "passEnv": ["PASSED"],
    ]
    let ref: JSONValue = ["source": "exec", "provider": "aw", "id": "orgs/acme/a#v1"]
    let config: JSONValue = [
      "secrets": ["providers": ["aw": provider]],
      "models": ["providers": ["openai": ["baseUrl": "http://x", "apiKey": ref]]],
      "channels": ["slack": ["enabled": false, "botToken": ref]],
    ]
    try await body(config, ["FOLDER": folder, "PASSED": "passed", "HIDDEN": "hidden"])
  }

  private let good = #"cat >/dev/null; echo '{"protocolVersion":1,"values":{"orgs/acme/a#v1":"v"}}'"#

  @Test("one call resolves what is active, and what is inactive is left alone")
  func resolves() async throws {
    try await with(good) { config, environment in
      let snapshot = try await SecretSnapshot.activate(config, environment: environment)
      let value = try #require(config.at("models", "providers", "openai", "apiKey").flatMap { snapshot.value(of: $0) })
      #expect(value.withText { $0 } == "v" && snapshot.cold.isEmpty)
      #expect(snapshot.notes == ["SECRETS_REF_IGNORED_INACTIVE_SURFACE channels.slack.botToken"])
    }
  }

  @Test("the program gets the variables that were named, and the request of version 1")
  func environment() async throws {
    let script = #"""
      read -r line
      if [ "$HIDDEN$HOME" = "" ] && [ "$PASSED" = passed ] && \
        [ "$line" = '{"ids":["orgs/acme/a#v1"],"protocolVersion":1,"provider":"aw"}' ]; then
        echo '{"protocolVersion":1,"values":{"orgs/acme/a#v1":"v"}}'
      fi
      """#
    try await with(script) { config, environment in
      let snapshot = try await SecretSnapshot.activate(config, environment: environment)
      #expect(snapshot.cold.isEmpty)
    }
  }

  @Test("a provider that fails leaves its owner cold, and the Gateway starts")
  func cold() async throws {
    func reason(
      _ script: String, mode: Int = 0o700, timeout: Int64 = 5_000, link: Bool = false, trusted: String? = nil
    ) async throws -> String {
      var reason = ""
      try await with(script, mode: mode, timeout: timeout, link: link, trusted: trusted) { config, environment in
        let snapshot = try await SecretSnapshot.activate(config, environment: environment)
        #expect(snapshot.cold.map(\.id) == ["openai"])
        #expect(snapshot.cold.first?.paths == ["models.providers.openai.apiKey"])
        reason = snapshot.cold.first?.reason ?? ""
      }
      return reason
    }
    #expect(try await reason("exit 1").contains("failure"))
    #expect(try await reason("echo nonsense").contains("no reply"))
    #expect(try await reason("exec sleep 1000", timeout: 100).contains("timed out"))
    #expect(try await reason(good, link: true).contains("symlink"))
    #expect(try await reason(good, mode: 0o722).contains("writable"))
    #expect(try await reason(good, trusted: "/elsewhere").contains("trustedDirs"))
    let absent = #"echo '{"protocolVersion":1,"values":{},"errors":{"orgs/acme/a#v1":{"code":"NOT_FOUND"}}}'"#
    #expect(try await reason(absent) == "NOT_FOUND")
    #expect(try await reason(absent.replacing("NOT_FOUND", with: "MINE")) == "unresolved")
  }

  @Test("the Gateway's own authentication, a malformed reference and an unknown provider stop the start")
  func closed() async throws {
    func ref(_ provider: String, _ id: String) -> JSONValue {
      ["source": "exec", "provider": .string(provider), "id": .string(id)]
    }
    try await with("exit 1") { config, environment in
      for wrong in [
        config.setting("gateway", ["auth": ["token": ref("aw", "a")]]),
        config.setting("models", ["providers": ["x": ["apiKey": ref("aw", "../a")]]]),
        config.setting("models", ["providers": ["x": ["apiKey": ref("other", "a")]]]),
      ] {
        await #expect(throws: StartRefusal.self) {
          try await SecretSnapshot.activate(wrong, environment: environment)
        }
      }
    }
  }

  @Test("the Gateway's own token is what its provider says, and a configuration that names another is not taken over")
  func token() async throws {
    try await with(good) { config, environment in
      let ref: JSONValue = ["source": "exec", "provider": "aw", "id": "orgs/acme/a#v1"]
      let config = config.setting("gateway", ["auth": ["mode": "token", "token": ref]])
      let secrets = try await SecretSnapshot.activate(config, environment: environment)
      let auth = try GatewayAuth.resolve(config, environment: environment, secrets: secrets)
      #expect(auth.mode == .token && auth.secret?.equals(Secret("v")) == true)
      #expect(throws: GatewayAuth.Failure.unresolved("gateway.auth.token")) {
        try GatewayAuth.resolve(config, environment: environment)
      }
      // What is configured counts, and no variable in its place.
      #expect(throws: GatewayAuth.Failure.unresolved("gateway.auth.token")) {
        try GatewayAuth.resolve(config, environment: ["OPENCLAW_GATEWAY_TOKEN": "variable"])
      }
    }
  }
}
