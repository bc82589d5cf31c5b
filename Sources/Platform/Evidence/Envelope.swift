import Basics
import Crypto
import Foundation

/// A DSSE envelope (secure-systems-lab/dsse v1): a document with signatures over its type and its bytes.
public struct Envelope: Codable, Sendable, Equatable {
  public struct Signature: Codable, Sendable, Equatable {
    /// A hint for people: it is not signed, so nothing follows from it.
    public let keyid: String
    /// Base64.
    public let sig: String
  }

  public let payloadType: String
  /// Base64 of the document.
  public let payload: String
  public let signatures: [Signature]

  /// The type of in-toto statements.
  public static let statementType = "application/vnd.in-toto+json"
  /// More than that are not looked at: each costs a check against every key.
  public static let signaturesMax = 16

  /// - Throws: `usage` for a key that cannot sign.
  public init(signing document: [UInt8], type: String = statementType, by keys: [ApproverKey]) throws {
    payloadType = type
    payload = Data(document).base64EncodedString()
    let signed = Self.preAuthentication(type, document)
    signatures = try keys.map { key in
      Signature(keyid: key.verifierKey.hint, sig: Data(try key.sign(signed)).base64EncodedString())
    }
  }

  /// The document; nil when it is no base64.
  public var document: [UInt8]? { Data(base64Encoded: payload).map { Array($0) } }

  /// Those of `keys` whose signature over this document is here and right.
  public func signers(among keys: [EvidenceVerifierKey]) -> [EvidenceVerifierKey] {
    guard let document, signatures.count <= Self.signaturesMax else { return [] }
    let signed = Self.preAuthentication(payloadType, document)
    let found = signatures.compactMap { Data(base64Encoded: $0.sig).map { Array($0) } }
    return keys.filter { key in found.contains { key.isValid($0, of: signed) } }
  }

  /// What is signed (PAE): the type goes in, so that a document never counts as one of another type.
  static func preAuthentication(_ type: String, _ document: [UInt8]) -> [UInt8] {
    Array("DSSEv1 \(type.utf8.count) \(type) \(document.count) ".utf8) + document
  }
}

/// An in-toto statement, version 1: something said of documents that are named by their digests.
public struct Statement: Codable, Sendable, Equatable {
  public struct Subject: Codable, Sendable, Equatable {
    public let name: String
    /// `sha256`, in lower-case hexadecimal.
    public let digest: [String: String]

    public init(name: String, sha256: String) { (self.name, digest) = (name, ["sha256": sha256]) }
  }

  public let _type: String
  public let subject: [Subject]
  public let predicateType: String
  public let predicate: JSONValue

  public static let version = "https://in-toto.io/Statement/v1"

  public init(subject: [Subject], predicateType: String, predicate: JSONValue) {
    _type = Self.version
    (self.subject, self.predicateType, self.predicate) = (subject, predicateType, predicate)
  }

  /// The bytes that are signed: canonical JSON (RFC 8785).
  public var bytes: [UInt8] { get throws { Array(try JSONValue(encoding: self).canonical.utf8) } }
}

/// A person's own Ed25519 key, in the text form of signed notes:
/// `PRIVATE+KEY+name+keyid+base64(0x01 || seed)`. It never reaches a control plane.
public struct ApproverKey: Sendable {
  private let key: Curve25519.Signing.PrivateKey
  public let verifierKey: EvidenceVerifierKey

  /// A new one.
  ///
  /// - Throws: `usage` for a name with white space or `+`.
  public static func make(name: String) throws(AWError) -> ApproverKey {
    try ApproverKey(name: name, seed: .random(count: 32))
  }

  /// - Throws: `usage` for a text that is no such key.
  public init(_ text: Secret) throws(AWError) {
    let parts = text.withText {
      $0.split(separator: "+", maxSplits: 4, omittingEmptySubsequences: false).map(String.init)
    }
    guard parts.count == 5, parts[0] == "PRIVATE", parts[1] == "KEY", let seed = Data(base64Encoded: parts[4]),
      seed.count == 33, seed.first == 1
    else { throw Self.malformed }
    try self.init(name: parts[2], seed: Array(seed.dropFirst()))
    guard Hex.encode(verifierKey.id) == parts[3] else { throw Self.malformed }
  }

  private init(name: String, seed: [UInt8]) throws(AWError) {
    guard EvidenceVerifierKey.isName(name) else {
      throw AWError(.usage, "A key cannot be called \(name.quoted).", next: "Use a name without spaces and '+'.")
    }
    guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) else { throw Self.malformed }
    self.key = key
    verifierKey = EvidenceVerifierKey(name: name, publicKey: Array(key.publicKey.rawRepresentation))
  }

  /// For the key file of its owner.
  public var text: Secret {
    let seed = Data([1] + key.rawRepresentation).base64EncodedString()
    return Secret("PRIVATE+KEY+\(verifierKey.name)+\(Hex.encode(verifierKey.id))+\(seed)")
  }

  func sign(_ bytes: [UInt8]) throws -> [UInt8] { Array(try key.signature(for: bytes)) }

  private static var malformed: AWError {
    AWError(
      .usage, "The file holds no key that can sign.",
      next: "Give the file that 'aw gate keygen' wrote: one line that begins with PRIVATE+KEY+.")
  }
}
