import Basics
import Foundation
import TestSupport
import Testing
import Vault

@Suite("Vault key and references")
struct VaultKeyTests {
  @Test("a key file is made once, for its owner only")
  func made() async throws {
    try await TestFolder.with { folder in
      let path = folder + "/key"
      _ = try VaultKey.fromFile(path)
      let first = try Data(contentsOf: URL(filePath: path))
      _ = try VaultKey.fromFile(path)
      #expect(first.count == 32)
      #expect(try Data(contentsOf: URL(filePath: path)) == first)
      #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["key"])
    }
  }

  @Test("a key file that others can read is refused, with the cure", arguments: [0o644, 0o640, 0o602, 0o666])
  func readable(mode: Int) async throws {
    try await TestFolder.with { folder in
      let path = folder + "/key"
      _ = try VaultKey.fromFile(path)
      try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
      let error = #expect(throws: AWError(.vaultUnreadable, "", next: "")) { _ = try VaultKey.fromFile(path) }
      #expect(error?.next.contains("chmod 600") == true)
    }
  }

  @Test("a file that is no key is refused", arguments: [0, 1, 31, 33, 63])
  func notAKey(count: Int) async throws {
    try await TestFolder.with { folder in
      let path = folder + "/key"
      _ = FileManager.default.createFile(
        atPath: path, contents: Data(repeating: 0x61, count: count), attributes: [.posixPermissions: 0o600])
      #expect(throws: AWError(.vaultUnreadable, "", next: "")) { _ = try VaultKey.fromFile(path) }
    }
  }

  @Test("systemd's credential comes before the file, as bytes or as hexadecimal text")
  func credential() async throws {
    try await TestFolder.with { folder in
      let bytes = [UInt8].random(count: 32)
      let reference = try SecretReference("test/one")
      for content in [Data(bytes), Data((Hex.encode(bytes) + "\n").utf8)] {
        let path = folder + "/" + VaultKey.credentialName
        _ = FileManager.default.createFile(atPath: path, contents: content, attributes: [.posixPermissions: 0o440])
        let key = try VaultKey.load(file: folder + "/key", environment: ["CREDENTIALS_DIRECTORY": folder])
        let vault = try Vault.open(file: folder + "/vault", key: key)
        _ = try await vault.putIfAbsent(reference) { Secret("value") }
        let value = try await vault.get(reference)
        #expect(value.equals(Secret("value")))
      }
      #expect(!FileManager.default.fileExists(atPath: folder + "/key"))
      _ = try VaultKey.load(file: folder + "/key", environment: ["CREDENTIALS_DIRECTORY": folder + "/none"])
      #expect(FileManager.default.fileExists(atPath: folder + "/key"))
    }
  }

  @Test("a key shows nothing of itself")
  func silent() throws {
    let key = try VaultKey(Secret(bytes: [UInt8](repeating: 0x41, count: 32)))
    var dumped = ""
    dump(key, to: &dumped)
    #expect(!"\(key) \(String(reflecting: key)) \(dumped)".contains("65"))
    #expect(!dumped.contains("AAAA"))
  }

  @Test("references", arguments: ["a", "instance/0193/gateway-token", "a/b/c/d/e/f/g/h", "0.b_c-d"])
  func references(text: String) throws {
    let reference = try SecretReference(text)
    let decoded = try JSONDecoder().decode(
      [SecretReference].self, from: try JSONEncoder().encode([reference]))
    #expect(decoded == [reference])
  }

  @Test(
    "no references",
    arguments: [
      "", "/", "a/", "/a", "a//b", "A", "a b", "a\nb", "../a", ".a", "-a", "é", "a/b/c/d/e/f/g/h/i", "a:b",
      String(repeating: "a", count: 65),
    ])
  func notReferences(text: String) {
    #expect(throws: AWError(.usage, "", next: "")) { _ = try SecretReference(text) }
  }
}
