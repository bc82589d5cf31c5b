import Basics
import Foundation
import Hygiene
import Synchronization
import TestSupport
import Testing

@testable import Vault

@Suite("Looking for the values of the vault")
struct SecretWatchTests {
  private static let value = "0123456789abcdef0123456789abcdef"

  private final class Now: Sendable {
    private let time = Mutex(Timestamp(millisecondsSince1970: 1_795_000_000_000))
    var clock: WallClock { WallClock { self.time.withLock { $0 } } }
    func advance(_ duration: Duration) { time.withLock { $0 = $0.advanced(by: duration) } }
  }

  private func withVault(
    _ body: (_ open: () throws -> Vault, _ now: Now, _ file: String) async throws -> Void
  ) async throws {
    try await TestFolder.with { folder in
      let (key, now) = (try VaultKey.fromFile(folder + "/key"), Now())
      try await body({ try Vault.open(file: folder + "/vault", key: key, clock: now.clock) }, now, folder + "/vault")
    }
  }

  private func found(_ vault: Vault, _ text: String) throws -> [String] {
    try vault.watch.scan(Array(text.utf8)).findings.map(\.reference)
  }

  @Test("finds a value from the moment it is put, by whichever process")
  func live() async throws {
    try await withVault { open, _, _ in
      let (first, second) = (try open(), try open())
      #expect(try found(first, Self.value).isEmpty)
      try await second.put(Secret(Self.value), at: SecretReference("instance/a/gateway-token"))
      let text = Data("user:\(Self.value)".utf8).base64EncodedString()
      #expect(try found(first, "Basic \(text)") == ["instance/a/gateway-token"])
      #expect(try found(second, Self.value) == ["instance/a/gateway-token"])
    }
  }

  @Test("goes on finding what was replaced or removed for 30 days, and keeps no value for that")
  func retired() async throws {
    try await withVault { open, now, file in
      let (vault, reference) = (try open(), try SecretReference("credential/acme/v1"))
      try await vault.put(Secret(Self.value), at: reference)
      try await vault.put(Secret("another-value-of-the-tests"), at: reference)
      try await vault.delete(reference)
      #expect(try await vault.references().isEmpty)
      // Also by a process that never saw the value.
      let later = try open()
      #expect(try found(later, "x\(Self.value)x") == ["credential/acme/v1"])
      #expect(try found(later, "another-value-of-the-tests") == ["credential/acme/v1"])
      let sealed = try VaultFile(
        parsing: Array(try Data(contentsOf: URL(filePath: file))), key: .fromFile(keyFile(file)))
      let kept = try #require(try sealed.open(RetiredForms.reference))
      kept.withText { text in
        #expect(!text.contains("0123456789") && !text.contains("another-value"))
      }
      now.advance(.seconds(31 * 86_400))
      try await vault.put(Secret("a third value, to change it"), at: reference)
      try await vault.delete(reference)
      #expect(try found(try open(), Self.value).isEmpty)
    }
  }

  private func keyFile(_ vault: String) -> String { (vault as NSString).deletingLastPathComponent + "/key" }

  @Test("names what is too short to be looked for, and learns values that lie elsewhere")
  func standing() async throws {
    try await withVault { open, _, _ in
      let vault = try open()
      try await vault.put(Secret("1234"), at: SecretReference("alert/pin"))
      vault.watch.learn(Secret("value-of-an-external-vault"), as: "kv:acme/openai")
      #expect(try vault.watch.standing() == .init(values: 1, tooPlain: ["alert/pin"]))
      #expect(try found(vault, "value-of-an-external-vault") == ["kv:acme/openai"])
    }
  }
}
