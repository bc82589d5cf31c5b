import Basics
import Crypto
import Foundation
import Vault

/// A checkpoint that a witness cosigned (C2SP tlog-cosignature): the witness saw that the log goes on from what it had
/// cosigned before.
public struct CosignedCheckpoint: Sendable, Equatable {
  public let checkpoint: EvidenceCheckpoint
  public let witness: String
  /// Whole seconds.
  public let at: Timestamp

  /// Reads a note that the log signed and the witness cosigned.
  ///
  /// - Throws: `EvidenceCheckpoint.Refusal`, with what is wrong.
  public init(note bytes: [UInt8], log: EvidenceVerifierKey, witness: WitnessKey) throws {
    checkpoint = try EvidenceCheckpoint(note: bytes, key: log)
    guard let at = witness.time(ofCosignatureIn: bytes) else {
      throw EvidenceCheckpoint.Refusal(
        what: "the cosignature of the witness \(witness.name.quoted) is missing or wrong")
    }
    (self.witness, self.at) = (witness.name, at)
  }
}

/// The key that checks a witness's cosignatures: `name+keyid+base64(0x04 || key)`.
public struct WitnessKey: Sendable, Equatable {
  /// The type of timestamped Ed25519 cosignatures in signed notes.
  private static let type: UInt8 = 4

  public let name: String
  private let publicKey: [UInt8]

  init(name: String, publicKey: [UInt8]) { (self.name, self.publicKey) = (name, publicKey) }

  /// Nil when the text is not exactly the form that `text` gives.
  public init?(_ text: String) {
    let parts = text.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, EvidenceVerifierKey.isName(String(parts[0])),
      let key = Data(base64Encoded: String(parts[2])), key.count == 33, key.first == Self.type
    else { return nil }
    self.init(name: String(parts[0]), publicKey: Array(key.dropFirst()))
    guard Array(self.text.utf8) == Array(text.utf8) else { return nil }
  }

  public var text: String { "\(name)+\(Hex.encode(id))+\(Data([Self.type] + publicKey).base64EncodedString())" }

  var id: [UInt8] { Array(SHA256.hash(data: Array(name.utf8) + [0x0A, Self.type] + publicKey).prefix(4)) }

  /// What is signed: the time goes in, so that an old cosignature does not pass for a new one.
  static func message(_ body: String, seconds: UInt64) -> [UInt8] {
    Array("cosignature/v1\ntime \(seconds)\n\(body)".utf8)
  }

  /// When this witness cosigned the note; nil when it did not.
  func time(ofCosignatureIn note: [UInt8]) -> Timestamp? {
    let text = String(decoding: note, as: UTF8.self)
    guard let gap = text.range(of: "\n\n", options: .literal),
      let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey)
    else { return nil }
    let body = String(text[..<gap.lowerBound]) + "\n"
    for line in text[gap.upperBound...].split(separator: "\n") {
      guard line.utf8.starts(with: "— \(name) ".utf8), let encoded = line.split(separator: " ").last,
        let data = Data(base64Encoded: String(encoded)), data.count == 76, Array(data.prefix(4)) == id
      else { continue }
      let seconds = data.dropFirst(4).prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      guard seconds < 253_402_300_800,
        key.isValidSignature(data.dropFirst(12), for: Self.message(body, seconds: seconds))
      else { continue }
      return Timestamp(millisecondsSince1970: Int64(seconds) * 1_000)
    }
    return nil
  }
}

/// Somebody who looks at a log from time to time and signs that it only grew.
///
/// Whoever has the database and the signing key can write another history; not one that agrees with what a witness
/// cosigned. It keeps in a folder of its own: its key, the log's key, and the last checkpoint that it cosigned. Run it
/// where the control plane's operators cannot write.
public struct EvidenceWitness: Sendable {
  public struct Cosigning: Sendable, Codable {
    public let witness: String
    public let size: Int
    /// The size that was cosigned before; nil the first time.
    public let before: Int?
    public let at: Timestamp
    /// Whether the log's key was believed, because none was given and none was kept.
    public let believedKey: Bool
  }

  static let keyName = "witness.key"
  static let publicName = "witness.vkey"

  private let folder: String
  private let key: Curve25519.Signing.PrivateKey
  public let verifierKey: WitnessKey

  public static func exists(in folder: String) -> Bool {
    FileManager.default.fileExists(atPath: folder + "/" + keyName)
  }

  /// Opens the witness in a folder, which is made with a new key when `name` is given.
  ///
  /// - Throws: `usage` when there is no witness and no name, or another name; `vaultUnreadable` for a key that is none.
  public init(folder: String, name: String?) throws {
    self = try Self.explained(folder) { try EvidenceWitness(opening: folder, name: name) }
  }

  private init(opening folder: String, name: String?) throws {
    self.folder = folder
    let path = folder + "/" + Self.keyName
    if let name, try DurableFile.read(path) == nil {
      guard EvidenceVerifierKey.isName(name) else {
        throw AWError(.usage, "A witness cannot be called \(name.quoted).", next: "Use a name without spaces and '+'.")
      }
      try DurableFile.makeFolder(folder)
      let seed = Data(Curve25519.Signing.PrivateKey().rawRepresentation).base64EncodedString()
      _ = try DurableFile.createIfAbsent(path, with: Array("\(name) \(seed)\n".utf8), mode: 0o600)
    }
    guard let bytes = try DurableFile.read(path)?.bytes else {
      throw AWError(.usage, "There is no witness in \(folder.quoted).", next: "Give a new one its name with --name.")
    }
    let parts = String(decoding: bytes, as: UTF8.self).split(separator: " ")
    guard parts.count == 2, let seed = Data(base64Encoded: parts[1].trimmingCharacters(in: .newlines)),
      let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed)
    else {
      throw AWError(
        .vaultUnreadable, "The witness's key \(path.quoted) is none.", next: "Restore it, or make another witness.")
    }
    if let name, name != parts[0] {
      throw AWError(
        .usage, "The witness in \(folder.quoted) is called \(String(parts[0]).quoted).", next: "Leave --name out.")
    }
    self.key = key
    verifierKey = WitnessKey(name: String(parts[0]), publicKey: Array(key.publicKey.rawRepresentation))
  }

  /// Looks at a copy of a log, and cosigns its checkpoint if it goes on from the last one.
  ///
  /// - Throws: `witnessRefused` when it does not, `evidenceBroken` when it does not verify by itself.
  public func cosign(
    log directory: String, key given: EvidenceVerifierKey?, at now: Timestamp, dryRun: Bool
  ) throws -> Cosigning {
    try Self.explained(folder) { try look(directory, given, now, dryRun) }
  }

  private func look(
    _ directory: String, _ given: EvidenceVerifierKey?, _ now: Timestamp, _ dryRun: Bool
  ) throws -> Cosigning {
    guard URL(filePath: folder).resolvingSymlinksInPath() != URL(filePath: directory).resolvingSymlinksInPath() else {
      throw AWError(
        .usage, "The witness's folder is the log's own.", next: "Give it one that the log's owners cannot write.")
    }
    let lock = try FileLock(folder, wait: .seconds(5))
    defer { withExtendedLifetime(lock) {} }
    let kept = try text(TileFolder.keyName).flatMap { EvidenceVerifierKey($0) }
    guard FileManager.default.fileExists(atPath: directory) else {
      throw AWError(.notFound, "There is no folder \(directory.quoted).", next: "Give the folder of the evidence log.")
    }
    let copy = try TileFolder(path: directory)
    let found = try copy.read(TileFolder.keyName).flatMap {
      EvidenceVerifierKey(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .newlines))
    }
    guard let logKey = kept ?? given ?? found else {
      throw AWError(.evidenceBroken, "The log in \(directory.quoted) has no key.", next: "Give it with --key.")
    }
    if let given, given != logKey { throw refused("its key is not the one that this witness knows") }
    let before = try last(logKey)
    let report = try EvidenceVerifier.verify(directory: directory, key: logKey, cosigned: before)
    guard report.isIntact, let note = try copy.read(TileFolder.checkpointName) else {
      throw AWError(
        .evidenceBroken, "The log in \(directory.quoted) does not verify, so it was not cosigned.",
        next: "Look with: aw evidence verify \(directory)")
    }
    if report.completeness.isContradicted { throw refused(report.completeness.says) }
    if !dryRun {
      try DurableFile.replace(folder + "/" + TileFolder.keyName, with: Array((logKey.text + "\n").utf8), mode: 0o644)
      try DurableFile.replace(
        folder + "/" + Self.publicName, with: Array((verifierKey.text + "\n").utf8), mode: 0o644)
      let cosigned = try Self.cosigned(note, by: key, as: verifierKey, at: now)
      try DurableFile.replace(folder + "/" + TileFolder.checkpointName, with: cosigned, mode: 0o644)
    }
    return Cosigning(
      witness: verifierKey.text, size: report.size, before: before?.checkpoint.size, at: now,
      believedKey: kept == nil && given == nil)
  }

  private static func explained<Value>(_ folder: String, _ body: () throws -> Value) throws -> Value {
    do {
      return try body()
    } catch let failure as FileFailure {
      throw AWError(
        .dataUnwritable, "The witness's folder \(folder.quoted) cannot be used.",
        next: "Check that it belongs to you, and that no other witness uses it.", cause: failure)
    }
  }

  private func last(_ logKey: EvidenceVerifierKey) throws -> CosignedCheckpoint? {
    guard let note = try DurableFile.read(folder + "/" + TileFolder.checkpointName)?.bytes else { return nil }
    do {
      return try CosignedCheckpoint(note: note, log: logKey, witness: verifierKey)
    } catch let refusal as EvidenceCheckpoint.Refusal {
      throw AWError(
        .evidenceBroken, "What the witness kept in \(folder.quoted) is not its own: \(refusal.what).",
        next: "Restore the folder from a backup: without it the witness cannot tell what it saw.")
    }
  }

  private func text(_ name: String) throws -> String? {
    try DurableFile.read(folder + "/" + name).map {
      String(decoding: $0.bytes, as: UTF8.self).trimmingCharacters(in: .newlines)
    }
  }

  private func refused(_ why: String) -> AWError {
    AWError(
      .witnessRefused, "The log was not cosigned: \(why).",
      next: "Keep this copy and the witness's folder as they are, and find out what happened to the log.")
  }

  /// The note with the witness's line behind the log's own.
  static func cosigned(
    _ note: [UInt8], by key: Curve25519.Signing.PrivateKey, as name: WitnessKey, at now: Timestamp
  ) throws -> [UInt8] {
    let text = String(decoding: note, as: UTF8.self)
    guard let gap = text.range(of: "\n\n", options: .literal) else { return note }
    let seconds = UInt64(max(0, now.millisecondsSince1970 / 1_000))
    let message = WitnessKey.message(String(text[..<gap.lowerBound]) + "\n", seconds: seconds)
    let time = (0..<8).map { UInt8(truncatingIfNeeded: seconds >> UInt64(56 - $0 * 8)) }
    let line = Data(name.id + time + (try key.signature(for: message))).base64EncodedString()
    return Array("\(text)— \(name.name) \(line)\n".utf8)
  }
}
