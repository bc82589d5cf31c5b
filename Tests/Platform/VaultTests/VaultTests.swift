import Basics
import Foundation
import TestSupport
import Testing
import Vault

@Suite("Vault")
struct VaultTests {
  private let reference: SecretReference

  init() throws { reference = try SecretReference("instance/0193-a/gateway-token") }

  private func withVault(_ body: (Vault, String, VaultKey) async throws -> Void) async throws {
    try await TestFolder.with { folder in
      let key = try VaultKey.fromFile(folder + "/key")
      let file = folder + "/vault"
      try await body(try Vault.open(file: file, key: key), file, key)
    }
  }

  private func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

  @Test("gives back what was put, also after it is opened again")
  func roundTrip() async throws {
    try await withVault { vault, file, key in
      let values = [Secret("plain"), Secret(""), Secret(bytes: Array(0...255)), Secret("Zoë 👩‍👩‍👧")]
      for (index, value) in values.enumerated() {
        try await vault.put(value, at: try SecretReference("test/\(index)"))
      }
      let again = try Vault.open(file: file, key: key)
      for (index, value) in values.enumerated() {
        let found = try await again.get(try SecretReference("test/\(index)"))
        #expect(found.equals(value))
      }
      let references = try await again.references().map(\.text)
      #expect(references == ["test/0", "test/1", "test/2", "test/3"])
      try await again.delete(try SecretReference("test/1"))
      // The first vault sees what the second one changed.
      await #expect(throws: AWError(.vaultMissing, "", next: "")) {
        try await vault.get(try SecretReference("test/1"))
      }
    }
  }

  @Test("a planted secret appears nowhere in the folder, in no encoding")
  func sentinels() async throws {
    try await withVault { vault, file, _ in
      let sentinel = "SENTINEL-\(Hex.encode([UInt8].random(count: 16)))"
      try await vault.put(Secret(sentinel), at: reference)
      try await vault.put(Secret(sentinel), at: reference)
      let folder = (file as NSString).deletingLastPathComponent
      let raw = Array(sentinel.utf8)
      // Base64 of a text inside other bytes depends on where it starts: look for all three, without the ends.
      let base64 = (0..<3).map { shift in
        let shifted = Data([UInt8](repeating: 0, count: shift) + raw).base64EncodedString()
        return String(shifted.dropFirst(4).dropLast(4))
      }
      let forms = [sentinel, Hex.encode(raw), Hex.encode(raw).uppercased(), Base64URL.encode(raw)] + base64
      for name in try FileManager.default.contentsOfDirectory(atPath: folder) where name != "key" {
        let content = String(decoding: try bytes(folder + "/" + name), as: UTF8.self)
        for form in forms { #expect(!content.contains(form), "\(name) holds a form of the secret") }
      }
      #expect(try bytes(file).count > raw.count)
    }
  }

  @Test("a flip of any single bit of the file is found")
  func tampering() async throws {
    try await withVault { vault, file, key in
      try await vault.put(Secret("one"), at: reference)
      try await vault.put(Secret("two"), at: try SecretReference("evidence/signing-key"))
      let good = try bytes(file)
      for index in good.indices {
        for bit in [0, 5, 7] {
          var bad = good
          bad[index] ^= 1 << UInt8(bit)
          try Data(bad).write(to: URL(filePath: file))
          let error = #expect(throws: AWError(.vaultUnreadable, "", next: ""), "byte \(index), bit \(bit)") {
            _ = try Vault.open(file: file, key: key)
          }
          #expect(error?.next.isEmpty == false)
        }
      }
    }
  }

  @Test("a removed entry, a cut file and an empty file are found")
  func removal() async throws {
    try await withVault { vault, file, key in
      try await vault.put(Secret("one"), at: reference)
      try await vault.put(Secret("two"), at: try SecretReference("evidence/signing-key"))
      let lines = String(decoding: try bytes(file), as: UTF8.self).split(separator: "\n")
      let without = lines.enumerated().filter { $0.offset != 2 }.map { $0.element + "\n" }.joined()
      for text in [without, "", "aw-vault 2\n", String(lines.joined(separator: "\n").dropLast(9))] {
        try Data(text.utf8).write(to: URL(filePath: file))
        #expect(throws: AWError(.vaultUnreadable, "", next: "")) { _ = try Vault.open(file: file, key: key) }
      }
    }
  }

  @Test("the wrong key and a newer format are told apart from damage")
  func wrongKey() async throws {
    try await withVault { vault, file, key in
      try await vault.put(Secret("one"), at: reference)
      let other = try VaultKey(Secret(bytes: [UInt8](repeating: 1, count: 32)))
      let wrong = #expect(throws: AWError(.vaultUnreadable, "", next: "")) {
        _ = try Vault.open(file: file, key: other)
      }
      #expect(wrong?.message.contains("different key") == true)
      let newer = String(decoding: try bytes(file), as: UTF8.self).replacing("aw-vault 2", with: "aw-vault 3")
      try Data(newer.utf8).write(to: URL(filePath: file))
      let error = #expect(throws: AWError(.vaultUnreadable, "", next: "")) {
        _ = try Vault.open(file: file, key: key)
      }
      #expect(error?.message.contains("format") == true)
    }
  }

  @Test("many who make the same secret at once all get the same one")
  func putIfAbsent() async throws {
    try await withVault { _, file, key in
      let found = try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<16 {
          group.addTask {
            let vault = try Vault.open(file: file, key: key)
            return try await vault.putIfAbsent(reference) { Secret.randomHex(byteCount: 16) }.withText { $0 }
          }
        }
        return try await group.reduce(into: Set<String>()) { $0.insert($1) }
      }
      #expect(found.count == 1)
    }
  }

  @Test("two vaults on one file lose none of each other's secrets")
  func twoVaults() async throws {
    try await withVault { first, file, key in
      let vaults = [first, try Vault.open(file: file, key: key)]
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<40 {
          group.addTask {
            try await vaults[index % 2].put(Secret("\(index)"), at: try SecretReference("test/\(index)"))
          }
        }
        try await group.waitForAll()
      }
      let count = try await first.references().count
      #expect(count == 40)
    }
  }

  @Test("the vault file is for its owner only")
  func permissions() async throws {
    try await withVault { vault, file, _ in
      try await vault.put(Secret("one"), at: reference)
      let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
      #expect(mode == 0o600)
    }
  }
}
