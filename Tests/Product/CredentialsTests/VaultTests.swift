import Basics
import Foundation
import Synchronization
import TestSupport
import Testing
import Vault

@testable import Credentials

@Suite("Vaults of credentials")
struct CredentialVaultTests {
  static func sealed(_ folder: String) throws -> Vault {
    try Vault.open(file: folder + "/vault", key: .fromFile(folder + "/vault.key"))
  }

  static func fails(_ code: ErrorCode, _ body: () async throws -> Void) async {
    await #expect(throws: AWError(code, "", next: ""), "\(code.id)") { try await body() }
  }

  @Test("the sealed file keeps a value once, and gives out nothing but credentials")
  func sealedFile() async throws {
    try await TestFolder.with { folder in
      let vault = try Self.sealed(folder)
      try await vault.put(Secret("of AW itself"), at: try SecretReference("web/csrf-key"))
      let keeper = SealedVault(vault: vault)
      let key = keeper.key(org: try Slug("acme"), surface: .openAI, version: 3, mark: "0a0b0c0d")
      #expect(key == "credential/acme/models.providers.openai.apikey/v3-0a0b0c0d")
      try await keeper.create(Secret("one"), at: key)
      #expect(try await keeper.read(key).equals(Secret("one")))
      await Self.fails(.conflict) { try await keeper.create(Secret("two"), at: key) }
      #expect(try await keeper.read(key).equals(Secret("one")))
      await Self.fails(.credentialKey) { _ = try await keeper.read("web/csrf-key") }
      await Self.fails(.credentialKey) { try await keeper.destroy("web/csrf-key") }
      try await keeper.destroy(key)
      try await keeper.destroy(key)
      await Self.fails(.vaultMissing) { _ = try await keeper.read(key) }
    }
  }

  @Test("a damaged vault file is refused and never written over; so is another key")
  func damaged() async throws {
    try await TestFolder.with { folder in
      let path = folder + "/vault"
      try await SealedVault(vault: try Self.sealed(folder)).create(Secret("one"), at: "credential/acme/x/v1-00")
      let whole = try Data(contentsOf: URL(filePath: path))
      for cut in [whole.count - 1, whole.count / 2, 20] {
        try whole.prefix(cut).write(to: URL(filePath: path))
        await Self.fails(.vaultUnreadable) { _ = try Self.sealed(folder) }
        #expect(try Data(contentsOf: URL(filePath: path)) == whole.prefix(cut))
      }
      try whole.write(to: URL(filePath: path))
      await Self.fails(.vaultUnreadable) {
        _ = try Vault.open(file: path, key: VaultKey(Secret(bytes: [UInt8](repeating: 7, count: 32))))
      }
    }
  }

  @Test("variables are read by name, and only those that are allowed")
  func environment() async throws {
    let vault = EnvVault(
      name: "vars", allowlist: ["A", "EMPTY", "GONE"], environment: ["A": "1", "EMPTY": "", "B": "2"])
    #expect(try await vault.read("A").equals(Secret("1")))
    for name in ["EMPTY", "GONE"] { await Self.fails(.vaultMissing) { _ = try await vault.read(name) } }
    await Self.fails(.credentialKey) { _ = try await vault.read("B") }
  }

  @Test("a file gives the member that a JSON pointer names, or its one value")
  func files() async throws {
    try await TestFolder.with { folder in
      let path = folder + "/secrets.json"
      func write(_ text: String, mode: Int = 0o600) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
      }
      let json = FileVault(name: "f", path: path, isJSON: true)
      await Self.fails(.vaultUnreachable) { _ = try await json.read("/a") }
      try write(#"{"acme": {"a/b": "1", "list": ["x", "y"], "n": 5}}"#)
      #expect(try await json.read("/acme/a~1b").equals(Secret("1")))
      #expect(try await json.read("/acme/list/1").equals(Secret("y")))
      for key in ["/acme/n", "/acme/none", "/acme/list/2", "/"] {
        await Self.fails(.vaultMissing) { _ = try await json.read(key) }
      }
      await Self.fails(.credentialKey) { _ = try await json.read("acme") }
      try write("not json")
      await Self.fails(.vaultRefused) { _ = try await json.read("/a") }
      let single = FileVault(name: "f", path: path, isJSON: false)
      try write("value with spaces \n")
      #expect(try await single.read("value").equals(Secret("value with spaces ")))
      await Self.fails(.credentialKey) { _ = try await single.read("/a") }
      try write("x", mode: 0o644)
      await Self.fails(.vaultRefused) { _ = try await single.read("value") }
    }
  }

  @Test("a program is asked by OpenClaw's exec protocol")
  func programs() async throws {
    try await TestFolder.with { folder in
      func vault(_ script: String, mode: Int = 0o700, within: Duration = .seconds(15)) throws -> ExecVault {
        let path = folder + "/resolver"
        try "#!/bin/sh\n\(script)\n".write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return ExecVault(
          name: "op", command: path, arguments: [], environment: ["PATH": "/usr/bin:/bin"], within: within)
      }
      let good = try vault("cat > '\(folder)/asked'; echo '{\"protocolVersion\":1,\"values\":{\"a/b\":\"v\"}}'")
      #expect(try await good.read("a/b").equals(Secret("v")))
      let asked = try JSONValue(parsing: String(contentsOfFile: folder + "/asked", encoding: .utf8))
      #expect(asked == ["protocolVersion": 1, "provider": "op", "ids": ["a/b"]])
      await Self.fails(.vaultMissing) { _ = try await good.read("a/c") }
      await Self.fails(.credentialKey) { _ = try await good.read("../c") }
      let answers: [(String, ErrorCode)] = [
        (#"echo '{"protocolVersion":1,"values":{},"errors":{"a":{"code":"NOT_FOUND"}}}'"#, .vaultMissing),
        (#"echo '{"protocolVersion":1,"values":{},"errors":{"a":{"code":"AMBIGUOUS_DUPLICATE_KEY"}}}'"#, .vaultRefused),
        (#"echo '{"protocolVersion":1,"values":{},"errors":{"a":{"code":"X"}}}'"#, .vaultRefused),
        (#"echo '{"protocolVersion":2,"values":{"a":"v"}}'"#, .vaultRefused), ("echo v", .vaultRefused),
        ("exit 3", .vaultUnreachable), ("head -c 2000000 /dev/zero", .vaultUnreachable),
      ]
      for (script, code) in answers {
        let wrong = try vault("cat > /dev/null; " + script)
        await Self.fails(code) { _ = try await wrong.read("a") }
      }
      // One that ends without reading what it is asked is as bad as another.
      let deaf = try vault("exit 3")
      for _ in 0..<20 { await Self.fails(.vaultUnreachable) { _ = try await deaf.read("a") } }
      let slow = try vault("exec tail -f /dev/null", within: .milliseconds(200))
      await Self.fails(.vaultUnreachable) { _ = try await slow.read("a") }
      let open = try vault("true", mode: 0o722)
      await Self.fails(.vaultRefused) { _ = try await open.read("a") }
      try FileManager.default.createSymbolicLink(
        atPath: folder + "/link", withDestinationPath: folder + "/resolver")
      let linked = ExecVault(name: "op", command: folder + "/link", arguments: [], environment: [:])
      await Self.fails(.vaultRefused) { _ = try await linked.read("a") }
    }
  }
}

@Suite("A KV engine of HashiCorp Vault or OpenBao")
struct KVVaultTests {
  static func vault(_ server: KVServer, _ folder: String) throws -> KVVault {
    let file = folder + "/secret-id"
    try "aw-secret-id-0123456789\n".write(toFile: file, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
    return try KVVault(
      KVSettings(
        name: "bao", address: "http://127.0.0.1:\(server.port)", mount: "secret", prefix: "aw", namespace: nil,
        roleID: "aw-role", secretIDFile: file, caFile: nil))
  }

  private func fails(_ code: ErrorCode, _ body: () async throws -> Void) async {
    await CredentialVaultTests.fails(code, body)
  }

  @Test("a value is written with check-and-set, read, and destroyed with all its versions")
  func whole() async throws {
    try await TestFolder.with { folder in
      try await KVServer.with { server in
        let vault = try Self.vault(server, folder)
        let key = vault.key(org: try Slug("acme"), surface: .slack, version: 1, mark: "00")
        #expect(key == "aw/acme/channels.slack.botToken/v1-00#value")
        await fails(.vaultMissing) { _ = try await vault.read(key) }
        try await vault.create(Secret("one"), at: key)
        #expect(try await vault.read(key).equals(Secret("one")))
        await fails(.conflict) { try await vault.create(Secret("two"), at: key) }
        #expect(try await vault.read(key).equals(Secret("one")))
        try await vault.destroy(key)
        try await vault.destroy(key)
        await fails(.vaultMissing) { _ = try await vault.read(key) }
        #expect(server.state.withLock { $0.signIns } == 1)
        #expect(server.state.withLock { $0.entries.isEmpty })
      }
    }
  }

  @Test("a member of somebody else's secret is read; one that is missing or deleted is told from a refusal")
  func others() async throws {
    try await TestFolder.with { folder in
      try await KVServer.with { server in
        server.state.withLock {
          $0.entries["aw/shared/openai"] = [["old": "o"], ["key": "k", "number": 5]]
          $0.entries["aw/shared/deleted"] = [["key": "k"], nil]
        }
        let vault = try Self.vault(server, folder)
        #expect(try await vault.read("aw/shared/openai#key").equals(Secret("k")))
        for key in ["aw/shared/openai#old", "aw/shared/openai#number", "aw/shared/openai", "aw/shared/deleted#key"] {
          await fails(.vaultMissing) { _ = try await vault.read(key) }
        }
        await fails(.vaultRefused) { _ = try await vault.read("other/openai#key") }
        for key in ["", "/a", "a/../b", "a b#x", "a#", "a#b#c", "a?b", "a%2fb"] {
          await fails(.credentialKey) { _ = try await vault.read(key) }
        }
      }
    }
  }

  @Test("what lies below AW's prefix is listed by name, at every depth, and no value is asked for")
  func listing() async throws {
    try await TestFolder.with { folder in
      try await KVServer.with { server in
        let vault = try Self.vault(server, folder)
        #expect(try await vault.keys().isEmpty)
        let own = vault.key(org: try Slug("acme"), surface: .slack, version: 1, mark: "00")
        try await vault.create(Secret("one"), at: own)
        server.state.withLock {
          $0.entries["aw/acme/by-hand"] = [["a": "1", "b": "2"]]
          $0.entries["aw/acme/deleted"] = [["a": "1"], nil]
          $0.entries["other/acme"] = [["a": "1"]]
          $0.seen = []
        }
        #expect(
          try await vault.keys() == [
            "aw/acme/by-hand#a", "aw/acme/by-hand#b", own, "aw/acme/deleted",
          ])
        #expect(server.state.withLock { $0.seen.allSatisfy { !$0.contains("/data/") } })
        try await vault.destroy(own)
        #expect(try await vault.keys().count == 3)
      }
    }
  }

  @Test("a token that was revoked is replaced once; one whose lease is over is not used")
  func tokens() async throws {
    try await TestFolder.with { folder in
      try await KVServer.with { server in
        server.state.withLock { $0.entries["aw/a"] = [["value": "v"]] }
        let vault = try Self.vault(server, folder)
        _ = try await vault.read("aw/a")
        server.state.withLock { $0.tokens = [] }
        _ = try await vault.read("aw/a")
        #expect(server.state.withLock { $0.signIns } == 2)
        server.state.withLock {
          $0.tokens = []
          $0.secretID = "another"
        }
        await fails(.vaultRefused) { _ = try await vault.read("aw/a") }
      }
    }
  }

  @Test("sealed, silent and foreign are told apart, and nothing secret is in what is said")
  func failures() async throws {
    try await TestFolder.with { folder in
      let gone = try await KVServer.with { server in
        let vault = try Self.vault(server, folder)
        server.state.withLock { $0.isSealed = true }
        await fails(.vaultUnreachable) { _ = try await vault.read("aw/a") }
        server.state.withLock { $0.isSealed = false }
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: folder + "/secret-id")
        await fails(.vaultRefused) { _ = try await vault.read("aw/a") }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: folder + "/secret-id")
        server.state.withLock { $0.roleID = "another" }
        do {
          _ = try await vault.read("aw/a")
          Issue.record("it was let in")
        } catch let error as AWError {
          #expect(error.code == .vaultRefused && !error.chain.contains("aw-secret-id"))
        }
        return try Self.vault(server, folder)
      }
      await fails(.vaultUnreachable) { _ = try await gone.read("aw/a") }
    }
  }

  static let replies: [(status: Int, body: JSONValue?, field: String?, reply: KVReply)] = [
    (200, ["data": ["data": ["value": "v"]]], "value", .value(Secret("v"))),
    (200, ["data": ["data": ["other": "v"]]], "value", .missing),
    (200, ["data": ["value": "v"]], "value", .failed("it is no KV engine of version 2")),
    (200, nil, "value", .failed("it is no KV engine of version 2")), (200, ["data": ["version": 1]], nil, .done),
    (204, nil, nil, .done), (404, ["errors": []], "value", .missing),
    (404, ["data": ["data": nil]], "value", .missing),
    (400, ["errors": ["check-and-set parameter did not match the current version"]], nil, .taken),
    (
      400, ["errors": ["check-and-set parameter required for this call"]], nil,
      .failed("it did not understand the request")
    ),
    (400, ["errors": ["x"]], nil, .failed("it did not understand the request")),
    (403, ["errors": ["permission denied"]], "value", .denied), (401, nil, nil, .denied), (503, nil, nil, .sealed),
    (473, nil, nil, .failed("it is a standby that does not answer")),
    (429, nil, nil, .failed("it is a standby that does not answer")),
    (500, nil, nil, .failed("it answered with status 500")), (302, nil, nil, .failed("it answered with status 302")),
  ]

  @Test("each answer means what the published API says", arguments: replies.indices)
  func meaning(index: Int) {
    let row = Self.replies[index]
    #expect(KVReply.read(status: row.status, body: row.body, row.field.map { .field($0) } ?? .nothing) == row.reply)
  }
}
