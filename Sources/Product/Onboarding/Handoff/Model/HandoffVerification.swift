import Basics
import Crypto
import Evidence
import Foundation

/// Checks the file of a handoff from its bytes alone: a pure function, which needs no control plane.
public enum HandoffVerification {
  public static let fileBytesMax = 1 << 20

  /// Who signed, and for whom the document says so.
  public struct Report: Codable, Sendable, Equatable {
    public let handoff: Handoff
    /// SHA-256 of the document, without its signatures.
    public let document: String
    /// Those whose signature is there and right.
    public let signed: [HandoffRole]
    public var isComplete: Bool { signed.count == HandoffRole.allCases.count }
  }

  /// The one form of a file: whatever is written differently was not written by AW.
  public static func text(_ envelope: Envelope) throws -> String { try JSONValue(encoding: envelope).indented + "\n" }

  /// Checks everything but that all have signed.
  ///
  /// - Parameter pinned: keys that somebody noted before, by whose they are.
  /// - Throws: `handoffRefused`, with what is wrong.
  public static func read(
    _ bytes: [UInt8], pinned: [HandoffRole: String] = [:]
  ) throws -> (envelope: Envelope, report: Report) {
    guard bytes.count <= fileBytesMax, let json = try? JSONValue(parsing: bytes),
      let envelope = try? json.decode(Envelope.self)
    else { throw refused("it is not the file of a handoff") }
    guard try Array(text(envelope).utf8) == bytes else { throw refused("it is not written as AW writes it") }
    let report = try report(envelope)
    for signer in report.handoff.signers where pinned[signer.role, default: signer.key] != signer.key {
      throw refused("the key of the \(signer.role.rawValue) is another one than was noted")
    }
    return (envelope, report)
  }

  /// - Throws: `handoffRefused`, with what is wrong.
  public static func report(_ envelope: Envelope) throws -> Report {
    guard envelope.payloadType == Envelope.statementType, let document = envelope.document else {
      throw refused("its document is of another type")
    }
    // Base64 has several forms of the same bytes; only one is let in.
    guard
      ([envelope.payload] + envelope.signatures.map(\.sig)).allSatisfy({ text in
        Data(base64Encoded: text)?.base64EncodedString() == text
      })
    else { throw refused("it is not written as AW writes it") }
    guard let json = try? JSONValue(parsing: document), let statement = try? json.decode(Statement.self),
      let handoff = try? statement.predicate.decode(Handoff.self)
    else { throw refused("its document is no handoff") }
    // Exactly what AW would write: nothing is left out, and nothing is there that nobody reads.
    guard try handoff.statement.bytes == document else { throw refused("its document is not what AW writes") }
    try check(handoff)
    return Report(
      handoff: handoff, document: "sha256:" + SHA256.hex(document), signed: try signers(of: handoff, envelope))
  }

  private static func check(_ handoff: Handoff) throws {
    if let line = handoff.lines.first(where: { !$0.isWhole }) { throw refused("the line '\(line.id)' is not answered") }
    let ids = handoff.lines.map(\.id)
    guard Set(ids).count == ids.count else { throw refused("a line is there twice") }
    if let missing = HandoffQuestion.allCases.first(where: { !ids.contains($0.rawValue) }) {
      throw refused("the line '\(missing.rawValue)' is missing")
    }
    guard handoff.signers.map(\.role) == HandoffRole.allCases else { throw refused("it does not name two signers") }
  }

  private static func signers(of handoff: Handoff, _ envelope: Envelope) throws -> [HandoffRole] {
    let keys = try handoff.signers.map { signer in
      guard let key = EvidenceVerifierKey(signer.key) else { throw refused("the key of \(signer.name) is none") }
      return key
    }
    // What follows the name and the id of a key in its text is the key itself.
    guard Set(keys.map { $0.text.dropFirst($0.hint.count) }).count == keys.count else {
      throw refused("both signers have one key")
    }
    let right = envelope.signers(among: keys)
    let hints = right.map(\.hint)
    // One signature of each, by the name of its key, and no other.
    guard envelope.signatures.map(\.keyid) == hints else {
      throw refused("a signature is wrong, or of somebody whom the document does not name")
    }
    return zip(handoff.signers, keys).compactMap { right.contains($1) ? $0.role : nil }
  }

  private static func refused(_ what: String) -> AWError {
    AWError(
      .handoffRefused, "The handoff does not verify: \(what).",
      next: "Ask for the file anew, from whoever gave it to you.")
  }

  /// Adds a signature; what was signed before stays.
  ///
  /// - Throws: `handoffRefused`; `conflict` for a key that the document does not name.
  public static func sign(_ bytes: [UInt8], with key: ApproverKey) throws -> (text: String, report: Report) {
    let (envelope, report) = try read(bytes)
    let handoff = report.handoff
    guard let signer = handoff.signers.first(where: { $0.key == key.verifierKey.text }) else {
      throw AWError(
        .conflict, "The document does not name the key \(key.verifierKey.hint) as a signer's.",
        next: "Sign with the key that was given when it was exported.")
    }
    guard !report.signed.contains(signer.role), let document = envelope.document else {
      throw AWError(.conflict, "\(signer.name) has signed it already.", next: "There is nothing to do.")
    }
    let own = try Envelope(signing: document, by: [key])
    // In the order of the signers, so that one file follows from who has signed.
    let all = handoff.signers.compactMap { one in
      (envelope.signatures + own.signatures).first { EvidenceVerifierKey(one.key)?.hint == $0.keyid }
    }
    let whole = Envelope(envelope, signatures: all)
    return (try text(whole), try self.report(whole))
  }
}
