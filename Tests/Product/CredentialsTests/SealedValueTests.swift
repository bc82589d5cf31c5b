import Basics
import Crypto
import Foundation
import Testing

@testable import Credentials

@Suite("Values that browsers seal")
struct SealedValueTests {
  typealias PrivateKey = Curve25519.KeyAgreement.PrivateKey

  private static func binding(
    _ org: String = "acme", _ surface: CredentialSurface = .openAI, _ purpose: String = IntakeService.console
  ) throws -> SealedValue.Binding { .init(org: try Slug(org), surface: surface, purpose: purpose) }

  /// As a browser does it.
  private static func sealed(
    _ value: String, to key: PrivateKey, info: String = SealedValue.info
  ) throws -> String {
    var sender = try HPKE.Sender(
      recipientKey: key.publicKey, ciphersuite: SealedValue.suite, info: Data(info.utf8))
    let ciphertext = try sender.seal(Data(value.utf8), authenticating: Data(try binding().text.utf8))
    return "aw1.\(SealedValue.name(of: key.publicKey)).\(Base64URL.encode(sender.encapsulatedKey + ciphertext))"
  }

  @Test("the vector of RFC 9180 for this very suite opens: DHKEM(X25519), HKDF-SHA256, AES-256-GCM, base mode")
  func vector() throws {
    let key = try PrivateKey(rawRepresentation: try bytes(HPKEVector.recipientPrivate))
    let sealed = try SealedValue(
      "aw1.x." + Base64URL.encode(try bytes(HPKEVector.encapsulated) + bytes(HPKEVector.ciphertext)))
    let opened = try sealed.open(with: key, info: try bytes(HPKEVector.info), aad: try bytes(HPKEVector.aad))
    #expect(try opened.equals(Secret(bytes: Array(bytes(HPKEVector.plaintext)))))
    #expect(throws: (any Error).self) { try sealed.open(with: key, info: Data(), aad: Data()) }
  }

  private func bytes(_ hex: String) throws -> Data { Data(try #require(Hex.decode(hex))) }

  @Test("what was sealed for this opens; for another Org, surface, purpose, use or key, or changed, it does not")
  func bound() throws {
    let (key, other) = (PrivateKey(), PrivateKey())
    let text = try Self.sealed("a value", to: key)
    #expect(try SealedValue(text).open(with: key, for: Self.binding()).equals(Secret("a value")))
    let others = [
      try Self.binding("globex"), try Self.binding("acme", .slack), try Self.binding("acme", .openAI, "link/1"),
    ]
    for binding in others { try refused { try SealedValue(text).open(with: key, for: binding) } }
    try refused { try SealedValue(text).open(with: other, for: Self.binding()) }
    try refused {
      try SealedValue(Self.sealed("a value", to: key, info: "another use")).open(with: key, for: Self.binding())
    }
    // Any one character of the sealed part.
    let body = try #require(text.split(separator: ".").last)
    for index in body.indices.dropLast(2) {
      var changed = body
      changed.replaceSubrange(index...index, with: body[index] == "A" ? "B" : "A")
      try refused { try SealedValue(text.replacing(body, with: changed)).open(with: key, for: Self.binding()) }
    }
  }

  @Test(
    "text of another form is refused, whatever it is",
    arguments: ["", "aw1", "aw1..", "aw1.k.", "aw1.k.AAAA", "aw2.k." + longEnough, "k." + longEnough, "aw1.k.!!!"])
  func forms(_ text: String) throws {
    try refused { try SealedValue(text) }
  }

  private static let longEnough = String(repeating: "A", count: 100)

  @Test("more than a value can have is refused before it is opened")
  func tooLong() throws {
    let key = PrivateKey()
    let most = String(repeating: "x", count: CredentialLimits.valueBytesMax)
    #expect(try SealedValue(Self.sealed(most, to: key)).ciphertext.count == most.utf8.count + SealedValue.tagBytes)
    try refused { try SealedValue(Self.sealed(most + "x", to: key)) }
  }

  private func refused(_ body: () throws -> some Any) throws {
    let error = #expect(throws: AWError.self) { try body() }
    #expect(error?.code == .credentialEnvelope)
  }
}

/// From the test vectors of RFC 9180 (github.com/cfrg/draft-irtf-cfrg-hpke, test-vectors.json): mode 0, KEM 0x0020,
/// KDF 0x0001, AEAD 0x0002, its first encryption.
enum HPKEVector {
  static let info = "4f6465206f6e2061204772656369616e2055726e"
  static let recipientPrivate = "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d"
  static let encapsulated = "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256"
  static let aad = "436f756e742d30"
  static let plaintext = "4265617574792069732074727574682c20747275746820626561757479"
  static let ciphertext =
    "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a"
}
