import Basics
import Crypto
import Foundation

/// A value that was sealed in a browser to the vault's public key: HPKE (RFC 9180) in base mode, with
/// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM, which is what browsers have.
///
/// As text: `aw1.<name of the key>.<base64url of the encapsulated key and the ciphertext>`.
struct SealedValue: Sendable, Equatable {
  static let suite = HPKE.Ciphersuite(kem: .Curve25519_HKDF_SHA256, kdf: .HKDF_SHA256, aead: .AES_GCM_256)
  static let form = "aw1"
  /// HPKE's `info`: what this use of the key is for, so that nothing sealed for another one opens here.
  static let info = "aw-seal/1"
  static let encapsulatedBytes = 32
  static let tagBytes = 16

  /// Of the key that it was sealed to.
  let key: String
  let encapsulated: Data
  let ciphertext: Data

  /// - Throws: `credentialEnvelope` for text of another form, or for more than a value can have.
  init(_ text: String) throws(AWError) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    let most = Self.encapsulatedBytes + CredentialLimits.valueBytesMax + Self.tagBytes
    guard parts.count == 3, parts[0] == Self.form, let bytes = Base64URL.decode(parts[2]), bytes.count <= most,
      bytes.count >= Self.encapsulatedBytes + Self.tagBytes
    else { throw Self.refusal("it is not of the form \(Self.form).KEY.VALUE") }
    key = parts[1]
    encapsulated = Data(bytes.prefix(Self.encapsulatedBytes))
    ciphertext = Data(bytes.dropFirst(Self.encapsulatedBytes))
  }

  /// What it was sealed for. An envelope for one opens nowhere else.
  struct Binding: Sendable, Equatable {
    let org: Slug
    let surface: CredentialSurface
    /// `console`, or `link/<id>`.
    let purpose: String

    /// HPKE's `aad`. None of its words holds a space.
    var text: String { "\(SealedValue.info) \(org) \(surface.rawValue) \(purpose)" }
  }

  /// - Throws: `credentialEnvelope` when it was sealed to another key, for something else, or changed on the way.
  func open(with key: Curve25519.KeyAgreement.PrivateKey, for binding: Binding) throws(AWError) -> Secret {
    guard self.key == Self.name(of: key.publicKey) else { throw Self.refusal("it was sealed to another key") }
    do {
      return try open(with: key, info: Data(Self.info.utf8), aad: Data(binding.text.utf8))
    } catch {
      throw Self.refusal("it was sealed for something else, or changed on the way")
    }
  }

  /// The bare construction, as the RFC's vectors have it.
  func open(with key: Curve25519.KeyAgreement.PrivateKey, info: Data, aad: Data) throws -> Secret {
    var recipient = try HPKE.Recipient(
      privateKey: key, ciphersuite: Self.suite, info: info, encapsulatedKey: encapsulated)
    return Secret(bytes: Array(try recipient.open(ciphertext, authenticating: aad)))
  }

  /// The first 16 hexadecimal digits of its SHA-256.
  static func name(of key: Curve25519.KeyAgreement.PublicKey) -> String {
    String(SHA256.hex(Array(key.rawRepresentation)).prefix(16))
  }

  static func refusal(_ why: String) -> AWError {
    AWError(
      .credentialEnvelope, "The sealed value cannot be opened: \(why).",
      next: "Load the page again and enter the value anew: nothing was kept.")
  }
}
