import Basics
import Client
import Foundation
import Link
import Logging
import Store
import TestSupport
import Testing
import Vault

@testable import Deployment

@Suite("A deployment's own files and settings")
struct DeploymentTests {
  @Test("a data directory is made for its owner alone, and held by one at a time")
  func directory() async throws {
    try await TestFolder.with { folder in
      var first: DataDirectory? = try DataDirectory(folder + "/d/")
      #expect(first?.path == folder + "/d")
      let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/d")
      #expect(attributes[.posixPermissions] as? Int == 0o700)
      #expect(throws: AWError(.dataInUse, "", next: "")) { try DataDirectory(folder + "/d") }
      first = nil
      #expect(throws: Never.self) { try DataDirectory(folder + "/d") }
      try Data().write(to: URL(filePath: folder + "/file"))
      #expect(throws: AWError(.dataUnwritable, "", next: "")) { try DataDirectory(folder + "/file/d") }
    }
  }

  @Test("a socket's path is short enough for the kernel, wherever the data is")
  func socket() async throws {
    try await TestFolder.with { folder in
      let near = try DataDirectory(folder + "/d")
      let usual = try near.socket()
      #expect(usual == folder + "/d/aw.sock")
      let far = try DataDirectory(folder + "/" + String(repeating: "x", count: 120))
      let socket = try far.socket()
      let again = try far.socket()
      #expect(socket.utf8.count <= 107 && socket == again)
      let place = (socket as NSString).deletingLastPathComponent
      #expect(try FileManager.default.attributesOfItem(atPath: place)[.posixPermissions] as? Int == 0o700)
      try FileManager.default.removeItem(atPath: place)
    }
  }

  @Test("a vault whose key is missing gets no new key")
  func vaultWithoutKey() async throws {
    try await TestFolder.with { folder in
      let directory = try DataDirectory(folder)
      let vault = try directory.openVault(environment: [:])
      try await vault.put(Secret("value"), at: try SecretReference("a/b"))
      try FileManager.default.removeItem(atPath: directory.vaultKey)
      #expect(throws: AWError(.vaultUnreadable, "", next: "")) { try directory.openVault(environment: [:]) }
      #expect(!FileManager.default.fileExists(atPath: directory.vaultKey))
    }
  }

  @Test("a database belongs to one vault, whoever comes with another is refused", arguments: TestEngine.available)
  func vaults(_ engine: TestEngine) async throws {
    try await TestStores.with(engine, migrations: DeploymentRecords.migrations) { store in
      let start = Timestamp(millisecondsSince1970: 1_000_000)
      for _ in 0..<2 { try await DeploymentRecords.check(vault: "first", in: store) }
      await #expect(throws: AWError(.nodeVaultForeign, "", next: "")) {
        try await DeploymentRecords.check(vault: "other", in: store)
      }
      let id = try await DeploymentRecords.identity(in: store, at: start)
      #expect(try await DeploymentRecords.identity(in: store, at: start.advanced(by: .seconds(1))) == id)
    }
  }

  @Test("two data directories can share a vault, and each is a control plane of its own")
  func sharedVault() async throws {
    try await TestFolder.with { folder in
      try FileManager.default.createDirectory(atPath: folder + "/shared", withIntermediateDirectories: true)
      let (one, other) = (
        try DataDirectory(folder + "/a", vault: folder + "/shared"),
        try DataDirectory(folder + "/b", vault: folder + "/shared")
      )
      let now = Timestamp(millisecondsSince1970: 1_000_000)
      let reference = try SecretReference("a/b")
      try await one.openVault(environment: [:]).put(Secret("value"), at: reference)
      #expect(try await other.openVault(environment: [:]).get(reference).equals(Secret("value")))
      #expect(try one.nodeID(at: now) == one.nodeID(at: now))
      #expect(try one.nodeID(at: now) != other.nodeID(at: now))
      #expect(!FileManager.default.fileExists(atPath: folder + "/a/vault"))
    }
  }

  @Test(
    "addresses are read with their ports",
    arguments: [
      ("127.0.0.1:7080", "127.0.0.1", 7080), ("[::1]:0", "::1", 0), ("aw.example.com:65535", "aw.example.com", 65_535),
    ])
  func addresses(_ text: String, _ address: String, _ port: Int) throws {
    #expect(try ControlPlaneSettings.Listen(text) == .init(address: address, port: port))
  }

  @Test("what is no address is refused", arguments: ["", "7080", ":7080", "a:b", "a:70000", "a:-1"])
  func noAddresses(_ text: String) {
    #expect(throws: AWError(.usage, "", next: "")) { try ControlPlaneSettings.Listen(text) }
  }

  @Test("a wildcard is nowhere to dial: enrolment lines name the machine instead")
  func reachable() {
    #expect(
      ControlPlaneSettings.Listen(address: "0.0.0.0", port: 1).reachable(port: 7) == ProcessInfo.processInfo.hostName
        + ":7")
    #expect(ControlPlaneSettings.Listen(address: "10.0.0.1", port: 1).reachable(port: 7) == "10.0.0.1:7")
  }

  @Test("a log line is one line, and JSON for collectors")
  func logLines() throws {
    func line(_ format: ConsoleLog.Format) -> String {
      ConsoleLog.line(
        format, at: Timestamp(millisecondsSince1970: 0), level: .notice, label: "aw", message: "two\nlines",
        metadata: ["b": "x y", "a": "1"])
    }
    #expect(line(.text) == #"1970-01-01T00:00:00.000Z notice aw: two lines a=1 b="x y""#)
    let json = try JSONValue(parsing: line(.json))
    #expect(json["message"] == "two\nlines" && json["level"] == "notice" && json["b"] == "x y")
  }

  @Test("the context file is looked for where it was named, then in the environment, then in the default directory")
  func contextPath() {
    let environment = ["AW_CONTEXT": "/e.json", "HOME": "/home/x"]
    #expect(ContextFile.path(given: "/g.json", environment: environment) == "/g.json")
    #expect(ContextFile.path(given: nil, environment: environment) == "/e.json")
    #expect(DefaultDirectory.path(environment: ["HOME": "/home/x"], isRoot: false) == "/home/x/.local/share/aw")
    #expect(DefaultDirectory.path(environment: ["XDG_DATA_HOME": "/data"], isRoot: false) == "/data/aw")
    #expect(DefaultDirectory.path(environment: [:], isRoot: true) == "/var/lib/aw")
  }

  @Test("a context file reads back as it was written, and a token file that others can read is refused")
  func context() async throws {
    try await TestFolder.with { folder in
      let context = ContextFile(url: "http://127.0.0.1:1", tokenFile: folder + "/token")
      try context.save(to: folder + "/context.json")
      #expect(try ContextFile.load(from: folder + "/context.json") == context)
      try "aw_x".write(toFile: folder + "/token", atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: folder + "/token")
      #expect(throws: AWError(.contextCorrupt, "", next: "")) { try APIClient(context) }
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: folder + "/token")
      #expect(throws: Never.self) { try APIClient(context) }
    }
  }
}
