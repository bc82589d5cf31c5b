import Basics
import Crypto
import Foundation

/// The sealed form of a vault: pure functions between bytes and entries.
///
/// Lines of text, so that it can be looked at; no line holds a value that is not sealed:
///
///     aw-vault 1
///     key <16 hexadecimal digits that depend on the key>
///     <reference> <version> <base64 of nonce, ciphertext and tag>
///     mac <64 hexadecimal digits: HMAC-SHA-256 over everything above>
///
/// Every entry is sealed with ChaCha20-Poly1305 and bound to its reference and version. The MAC finds entries that were
/// removed or reordered. What neither can find is an older copy of the whole file put in its place.
struct VaultFile {
  struct Entry {
    /// Counts the changes of this entry, from 1.
    var version: Int
    var sealed: Data
  }

  static let header = "aw-vault 1"
  private let entryKey: SymmetricKey
  private let macKey: SymmetricKey
  private let keyName: String
  private(set) var entries: [SecretReference: Entry] = [:]

  /// Why a file cannot be opened.
  enum Damage: Error { case version(String), otherKey, changed(line: Int) }

  init(key: VaultKey) {
    entryKey = key.derived(for: "entries")
    macKey = key.derived(for: "file")
    let name = HMAC<SHA256>.authenticationCode(for: Data("name".utf8), using: key.derived(for: "name"))
    keyName = Hex.encode(Array(name).prefix(8))
  }

  /// - Throws: `Damage`.
  init(parsing bytes: [UInt8], key: VaultKey) throws {
    self.init(key: key)
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    guard lines.count >= 4, lines.removeLast().isEmpty else { throw Damage.changed(line: lines.count) }
    guard lines[0] == VaultFile.header else {
      throw lines[0].hasPrefix("aw-vault ") ? Damage.version(lines[0]) : Damage.changed(line: 1)
    }
    let expectedMac = lines.removeLast()
    let body = Data(lines.map { $0 + "\n" }.joined().utf8)
    guard lines[1] == "key \(keyName)" else {
      // Only a file of ours in which the key line has the right form says that the key is another one.
      throw lines[1].hasPrefix("key ") ? Damage.otherKey : Damage.changed(line: 2)
    }
    guard expectedMac == mac(body), bytes.count == body.count + expectedMac.utf8.count + 1 else {
      throw Damage.changed(line: lines.count + 1)
    }
    for (index, line) in lines.enumerated().dropFirst(2) {
      let fields = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
      guard fields.count == 3, let reference = try? SecretReference(fields[0]), let version = Int(fields[1]),
        let sealed = Data(base64Encoded: fields[2])
      else { throw Damage.changed(line: index + 1) }
      entries[reference] = Entry(version: version, sealed: sealed)
    }
  }

  var bytes: [UInt8] {
    var lines = [VaultFile.header, "key \(keyName)"]
    for (reference, entry) in entries.sorted(by: { $0.key < $1.key }) {
      lines.append("\(reference.text) \(entry.version) \(entry.sealed.base64EncodedString())")
    }
    let body = lines.map { $0 + "\n" }.joined()
    return Array((body + mac(Data(body.utf8)) + "\n").utf8)
  }

  func open(_ reference: SecretReference) throws -> Secret? {
    guard let entry = entries[reference] else { return nil }
    let box = try ChaChaPoly.SealedBox(combined: entry.sealed)
    let bound = VaultFile.binding(reference, version: entry.version)
    return Secret(bytes: Array(try ChaChaPoly.open(box, using: entryKey, authenticating: bound)))
  }

  mutating func put(_ secret: Secret, at reference: SecretReference) throws {
    let version = (entries[reference]?.version ?? 0) + 1
    let bound = VaultFile.binding(reference, version: version)
    let sealed = try secret.withBytes { try ChaChaPoly.seal($0, using: entryKey, authenticating: bound).combined }
    entries[reference] = Entry(version: version, sealed: sealed)
  }

  mutating func delete(_ reference: SecretReference) { entries[reference] = nil }

  private func mac(_ body: Data) -> String {
    "mac " + Hex.encode(Array(HMAC<SHA256>.authenticationCode(for: body, using: macKey)))
  }

  private static func binding(_ reference: SecretReference, version: Int) -> Data {
    Data("\(header)\n\(reference.text)\n\(version)".utf8)
  }
}
