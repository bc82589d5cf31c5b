import Access
import Basics
import Crypto
import Evidence
import Foundation
import Testing
import Vault

@testable import Credentials

@Suite("The key that browsers seal to")
struct SealingKeyTests {
  private static let rotate = CredentialWorld.actor

  /// A value as an operator's browser seals it to the key that the page shows now.
  private func sealed(_ value: String, _ intake: IntakeService) async throws -> String {
    let shown = try await intake.keys.publicKey
    let key = try Curve25519.KeyAgreement.PublicKey(rawRepresentation: try #require(Base64URL.decode(shown.key)))
    let binding = try binding()
    var sender = try HPKE.Sender(
      recipientKey: key, ciphersuite: SealedValue.suite, info: Data(SealedValue.info.utf8))
    let ciphertext = try sender.seal(Data(value.utf8), authenticating: Data(binding.text.utf8))
    return "aw1.\(shown.name).\(Base64URL.encode(sender.encapsulatedKey + ciphertext))"
  }

  private func binding() throws -> SealedValue.Binding {
    .init(org: try Slug("acme"), surface: .openAI, purpose: IntakeService.console)
  }

  private func opens(_ text: String, _ intake: IntakeService) async throws -> Bool {
    do {
      let value = try await intake.keys.open(try SealedValue(text), for: try binding())
      return value.equals(Secret("a value"))
    } catch let error as AWError where error.code == .credentialEnvelope {
      return false
    }
  }

  private func places(_ world: CredentialWorld) async throws -> [String] {
    try await world.sealed.references().map(\.text).filter { $0.hasPrefix(SealingKeys.firstPlace) }
  }

  @Test("another one is shown at once; what was sealed to the former opens for a day, and then both are forgotten")
  func rotation() async throws {
    try await CredentialWorld.with { world in
      let intake = IntakeService(credentials: world.service)
      let (first, before) = (try await intake.keys.publicKey, try await sealed("a value", intake))
      let made = try await intake.rotateSealingKey(as: Self.rotate)
      #expect(made.former == first.name && made.key != first.name)
      #expect(try await intake.keys.publicKey.name == made.key)
      let after = try await sealed("a value", intake)
      #expect(try await opens(before, intake))
      #expect(try await opens(after, intake))
      #expect(made.formerOpensUntil == world.time.now.advanced(by: CredentialLimits.sealingOverlap))
      let entry = try #require(try await world.entries().last)
      #expect(entry.kind == .sealingKeyRotated && entry.subject?.id == made.key)
      #expect(entry.data["former"] == .string(first.name))

      world.time.advance(CredentialLimits.sealingOverlap - .milliseconds(1))
      #expect(try await opens(before, intake))
      // A second one, while the first one still opens.
      let second = try await intake.rotateSealingKey(as: Self.rotate)
      #expect(second.former == made.key)
      #expect(try await opens(before, intake))
      #expect(try await opens(after, intake))
      world.time.advance(.milliseconds(1))
      #expect(try await !opens(before, intake))
      #expect(try await opens(after, intake))
      #expect(try await places(world).count == 3)
      try await intake.sweepSealingKeys()
      #expect(try await places(world).count == 2)
      #expect(try await !opens(before, intake))
      #expect(try await opens(after, intake))
    }
  }

  @Test("a rehearsal and a refusal leave the key that is there, and nothing in the vault")
  func nothing() async throws {
    try await CredentialWorld.with { world in
      let intake = IntakeService(credentials: world.service)
      let first = try await intake.keys.publicKey
      let rehearsed = try await intake.rotateSealingKey(as: Self.rotate, dryRun: true)
      #expect(rehearsed.former == first.name)
      await #expect(throws: AWError(.forbidden, "", next: "")) {
        _ = try await intake.rotateSealingKey(as: .operator(.make(at: CredentialWorld.now)))
      }
      #expect(try await intake.keys.publicKey == first)
      #expect(try await places(world) == [SealingKeys.firstPlace])
      #expect(try await !world.entries().contains { $0.kind == .sealingKeyRotated })
    }
  }
}
