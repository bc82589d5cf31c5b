import Basics
import Crypto
import Foundation

/// The key that checks a log's signatures, in the text form of C2SP signed-note: `name+keyid+base64(0x01 || key)`.
public struct EvidenceVerifierKey: Sendable, Equatable {
  public let name: String
  let publicKey: [UInt8]

  init(name: String, publicKey: [UInt8]) {
    self.name = name
    self.publicKey = publicKey
  }

  /// Nil when the text is not exactly the form that `text` gives, or names another key id than its own.
  public init?(_ text: String) {
    let parts = text.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, EvidenceVerifierKey.isName(String(parts[0])),
      let key = Data(base64Encoded: String(parts[2])), key.count == 33, key.first == 1
    else { return nil }
    self.init(name: String(parts[0]), publicKey: Array(key.dropFirst()))
    guard Array(self.text.utf8) == Array(text.utf8) else { return nil }
  }

  public var text: String { "\(name)+\(Hex.encode(id))+\(Data([1] + publicKey).base64EncodedString())" }

  /// `name+keyid`: which key it is, for people.
  public var hint: String { "\(name)+\(Hex.encode(id))" }

  /// The first four bytes of SHA-256(name, line feed, 0x01, key).
  var id: [UInt8] { Array(SHA256.hash(data: Array(name.utf8) + [0x0A, 1] + publicKey).prefix(4)) }

  func isValid(_ signature: [UInt8], of text: [UInt8]) -> Bool {
    guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else { return false }
    return key.isValidSignature(signature, for: text)
  }

  /// A name goes into lines and before a plus sign.
  static func isName(_ name: String) -> Bool {
    !name.isEmpty && name.unicodeScalars.allSatisfy { !$0.properties.isWhitespace && $0 != "+" && $0.value > 0x20 }
  }
}

/// What a log says of itself at one time (C2SP tlog-checkpoint), and its signed form.
public struct EvidenceCheckpoint: Sendable, Equatable {
  public let origin: String
  public let size: Int
  public let root: MerkleHash

  public init(origin: String, size: Int, root: MerkleHash) {
    self.origin = origin
    self.size = size
    self.root = root
  }

  var body: String { "\(origin)\n\(size)\n\(Data(root.bytes).base64EncodedString())\n" }

  /// Reads a signed checkpoint and checks the signature of `key`. Other signatures (of witnesses) are let pass.
  ///
  /// - Throws: `Refusal`, with what is wrong.
  public init(note bytes: [UInt8], key: EvidenceVerifierKey) throws {
    let text = String(decoding: bytes, as: UTF8.self)
    guard Array(text.utf8) == bytes, let gap = text.range(of: "\n\n", options: .literal), text.hasSuffix("\n") else {
      throw Refusal(what: "it is not a signed note")
    }
    let body = String(text[..<gap.lowerBound]) + "\n"
    let lines = body.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard lines.count >= 4, let size = Int(lines[1]), size >= 0, "\(size)" == lines[1],
      let rootBytes = Data(base64Encoded: lines[2]), let root = MerkleHash(rootBytes),
      rootBytes.base64EncodedString() == lines[2]
    else { throw Refusal(what: "it does not have an origin, a size and a root hash") }
    let signatures = text[gap.upperBound...].dropLast().split(separator: "\n", omittingEmptySubsequences: false)
    guard signatures.contains(where: { EvidenceCheckpoint.isSigned(Array(body.utf8), by: key, line: String($0)) })
    else { throw Refusal(what: "the signature of the log's key \(key.name.quoted) is missing or wrong") }
    guard Array(lines[0].utf8) == Array(key.name.utf8) else { throw Refusal(what: "it is of another log") }
    self.init(origin: lines[0], size: size, root: root)
  }

  public struct Refusal: Error { public let what: String }

  private static func isSigned(_ body: [UInt8], by key: EvidenceVerifierKey, line: String) -> Bool {
    let start = "— \(key.name) "
    guard line.utf8.starts(with: start.utf8) else { return false }
    let encoded = String(decoding: Array(line.utf8).dropFirst(start.utf8.count), as: UTF8.self)
    guard let data = Data(base64Encoded: encoded), data.count == 68, data.base64EncodedString() == encoded,
      Array(data.prefix(4)) == key.id
    else { return false }
    return key.isValid(Array(data.dropFirst(4)), of: body)
  }
}

/// Signs checkpoints with an Ed25519 key that lives in the vault.
public struct EvidenceSigner: Sendable {
  private let key: Curve25519.Signing.PrivateKey
  public let verifierKey: EvidenceVerifierKey

  /// - Parameters:
  ///   - seed: the 32 bytes of an Ed25519 private key.
  ///   - origin: the name of the log, such as `aw/<deployment id>`: no white space, no `+`.
  /// - Throws: `vaultUnreadable` for a seed that is none, `usage` for an origin that cannot be one.
  public init(seed: Secret, origin: String) throws {
    guard EvidenceVerifierKey.isName(origin) else {
      throw AWError(
        .usage, "The evidence log cannot be called \(origin.quoted).", next: "Use a name without spaces and '+'.")
    }
    do {
      key = try seed.withBytes { try Curve25519.Signing.PrivateKey(rawRepresentation: $0) }
    } catch {
      throw AWError(
        .vaultUnreadable, "The signing key of the evidence log is not an Ed25519 key.",
        next: "Restore the vault of this deployment from a backup.", cause: error)
    }
    verifierKey = EvidenceVerifierKey(name: origin, publicKey: Array(key.publicKey.rawRepresentation))
  }

  func sign(_ checkpoint: EvidenceCheckpoint) throws -> [UInt8] {
    let signature = try key.signature(for: Data(checkpoint.body.utf8))
    let encoded = Data(verifierKey.id + signature).base64EncodedString()
    return Array("\(checkpoint.body)\n— \(verifierKey.name) \(encoded)\n".utf8)
  }
}
