import Basics
import Foundation
import TestSupport
import Testing

@testable import Vault

@Suite("Another key for the vault")
struct VaultRotationTests {
  private struct Killed: Error {}

  private static func with(_ body: (_ file: String, _ keyFile: String) async throws -> Void) async throws {
    try await TestFolder.with { folder in
      let (file, keyFile) = (folder + "/vault", folder + "/vault.key")
      let vault = try Vault.open(file: file, key: .fromFile(keyFile))
      for number in 0..<5 { try await vault.put(Secret("value \(number)"), at: try SecretReference("test/\(number)")) }
      try await body(file, keyFile)
    }
  }

  /// What AW does when it starts.
  private static func opened(_ file: String, _ keyFile: String) throws -> Vault {
    try VaultRotation.settle(file: file, keyFile: keyFile)
    return try Vault.open(file: file, key: .fromFile(keyFile))
  }

  private static func isWhole(_ vault: Vault) async throws -> Bool {
    for number in 0..<5 {
      guard try await vault.get(try SecretReference("test/\(number)")).equals(Secret("value \(number)")) else {
        return false
      }
    }
    return try await vault.references().count == 5
  }

  private static func bytes(_ path: String) -> Data? { FileManager.default.contents(atPath: path) }

  @Test("the values stay, the old key opens nothing any more, and no value was sealed anew")
  func rotation() async throws {
    try await Self.with { file, keyFile in
      let (old, before) = (try VaultKey.fromFile(keyFile), String(decoding: Self.bytes(file) ?? Data(), as: UTF8.self))
      let rehearsed = try VaultRotation.rotate(file: file, keyFile: keyFile, dryRun: true)
      #expect(rehearsed.secrets == 5 && Self.bytes(file).map { String(decoding: $0, as: UTF8.self) } == before)
      let report = try VaultRotation.rotate(file: file, keyFile: keyFile)
      #expect(report.secrets == 5 && report.oldKey == rehearsed.oldKey && report.newKey != report.oldKey)
      #expect(try await Self.isWhole(try Self.opened(file, keyFile)))
      #expect(throws: AWError(.vaultUnreadable, "", next: "")) { _ = try Vault.open(file: file, key: old) }
      #expect(!FileManager.default.fileExists(atPath: VaultRotation.next(keyFile)))
      #expect(try FileManager.default.attributesOfItem(atPath: keyFile)[.posixPermissions] as? Int == 0o600)
      let after = String(decoding: Self.bytes(file) ?? Data(), as: UTF8.self)
      func column(_ text: String, _ index: Int) -> [Substring] {
        text.split(separator: "\n").dropFirst(2).dropLast().map { $0.split(separator: " ")[index] }
      }
      #expect(column(after, 3) == column(before, 3))
      #expect(zip(column(after, 2), column(before, 2)).allSatisfy { $0 != $1 })
    }
  }

  @Test("ended at any point, it opens with the old key or the new one at the next start, and can be done again")
  func killed() async throws {
    for last in VaultRotation.Step.allCases {
      try await Self.with { file, keyFile in
        #expect(throws: Killed.self) {
          _ = try VaultRotation.rotate(file: file, keyFile: keyFile) { step in if step == last { throw Killed() } }
        }
        #expect(try await Self.isWhole(try Self.opened(file, keyFile)), "\(last)")
        #expect(!FileManager.default.fileExists(atPath: VaultRotation.next(keyFile)), "\(last)")
        _ = try VaultRotation.rotate(file: file, keyFile: keyFile)
        #expect(try await Self.isWhole(try Self.opened(file, keyFile)), "\(last)")
      }
    }
  }

  @Test("a key file that went away between the steps is replaced by the one that opens the vault")
  func keyGone() async throws {
    try await Self.with { file, keyFile in
      #expect(throws: Killed.self) {
        _ = try VaultRotation.rotate(file: file, keyFile: keyFile) { if $0 == .vaultReplaced { throw Killed() } }
      }
      try FileManager.default.removeItem(atPath: keyFile)
      #expect(try await Self.isWhole(try Self.opened(file, keyFile)))
    }
  }

  @Test("a wrong key, a cut file and a key that others can read are refused, and neither file is touched")
  func refused() async throws {
    try await Self.with { file, keyFile in
      let (whole, key) = (try #require(Self.bytes(file)), try #require(Self.bytes(keyFile)))
      func unchanged(_ vault: Data, _ key: Data) {
        #expect(throws: AWError(.vaultUnreadable, "", next: "")) {
          _ = try VaultRotation.rotate(file: file, keyFile: keyFile)
        }
        #expect(Self.bytes(file) == vault && Self.bytes(keyFile) == key)
        #expect(!FileManager.default.fileExists(atPath: VaultRotation.next(keyFile)))
      }
      for cut in [whole.count - 1, whole.count / 2, 20, 0] {
        try whole.prefix(cut).write(to: URL(filePath: file))
        unchanged(whole.prefix(cut), key)
      }
      try whole.write(to: URL(filePath: file))
      let other = Data(repeating: 7, count: 32)
      try other.write(to: URL(filePath: keyFile))
      unchanged(whole, other)
      try key.write(to: URL(filePath: keyFile))
      try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: keyFile)
      unchanged(whole, key)
    }
  }

  @Test("a key that was left behind and opens nothing is not taken")
  func stray() async throws {
    try await Self.with { file, keyFile in
      let key = Self.bytes(keyFile)
      _ = try VaultKey.fromFile(VaultRotation.next(keyFile))
      #expect(try await Self.isWhole(try Self.opened(file, keyFile)))
      #expect(Self.bytes(keyFile) == key)
    }
  }

  @Test("a file of the former format is read, and written as the present one with the first change")
  func former() async throws {
    try await TestFolder.with { folder in
      // Sealed by the release before, with the key of 32 times 7.
      let text = """
        aw-vault 1
        key b2ceff0186e469ae
        test/a 1 AAECAwQFBgcICQoLeAXHbv8X12RaikK0jS6XdmDWKA==
        mac e4b4f062fc4bbcbda0a783a70e5b212b0bfaab112fc3783c53293f22c30de8c4

        """
      let file = folder + "/vault"
      try text.write(toFile: file, atomically: true, encoding: .utf8)
      let key = try VaultKey(Secret(bytes: [UInt8](repeating: 7, count: 32)))
      let vault = try Vault.open(file: file, key: key)
      #expect(try await vault.get(try SecretReference("test/a")).equals(Secret("one")))
      #expect(Self.bytes(file) == Data(text.utf8), "reading changes nothing")
      try await vault.put(Secret("two"), at: try SecretReference("test/b"))
      #expect(Self.bytes(file)?.starts(with: Data("aw-vault 2\n".utf8)) == true)
      let again = try Vault.open(file: file, key: key)
      #expect(try await again.get(try SecretReference("test/a")).equals(Secret("one")))
      #expect(try await again.get(try SecretReference("test/b")).equals(Secret("two")))
    }
  }
}
