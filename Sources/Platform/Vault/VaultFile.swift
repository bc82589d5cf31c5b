import Basics
import Crypto
import Foundation

/// The sealed form of a vault: pure functions between bytes and entries.
///
/// Lines of text, so that it can be looked at; no line holds a value that is not sealed:
///
///     aw-vault 2
///     key <16 hexadecimal digits that depend on the key>
///     <reference> <version> <base64 of the sealed data key> <base64 of the sealed value>
///     mac <64 hexadecimal digits: HMAC-SHA-256 over everything above>
///
/// Each value is sealed with a data key of its own, and that with the vault's key, both by ChaCha20-Poly1305 (nonce,
/// ciphertext and tag) and bound to the reference and version. So another vault key needs no value to be opened. The
/// MAC finds entries that were removed or reordered. What nothing here can find is an older copy of the whole file put
/// in its place.
///
/// `aw-vault 1` had no data keys. It is read, and written as 2 with the first change.
struct VaultFile {
  struct Entry {
    /// Counts the changes of this entry, from 1.
    var version: Int
    /// The data key, sealed.
    var wrapped: Data
    var sealed: Data
  }

  static let header = "aw-vault 2"
  private static let formerHeader = "aw-vault 1"
  private let entryKey: SymmetricKey
  private let macKey: SymmetricKey
  let keyName: String
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
    let isFormer = lines[0] == VaultFile.formerHeader
    guard lines[0] == VaultFile.header || isFormer else {
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
      guard fields.count == (isFormer ? 3 : 4), let reference = try? SecretReference(fields[0]),
        let version = Int(fields[1]), let last = Data(base64Encoded: fields[fields.count - 1]),
        let wrapped = isFormer ? Data() : Data(base64Encoded: fields[2])
      else { throw Damage.changed(line: index + 1) }
      guard isFormer else {
        entries[reference] = Entry(version: version, wrapped: wrapped, sealed: last)
        continue
      }
      let bound = VaultFile.binding(reference, version: version, VaultFile.formerHeader)
      guard let value = try? VaultFile.unseal(last, with: entryKey, bound) else {
        throw Damage.changed(line: index + 1)
      }
      entries[reference] = try sealed(Secret(bytes: value), reference, version: version)
    }
  }

  var bytes: [UInt8] {
    var lines = [VaultFile.header, "key \(keyName)"]
    for (reference, entry) in entries.sorted(by: { $0.key < $1.key }) {
      lines.append(
        "\(reference.text) \(entry.version) \(entry.wrapped.base64EncodedString()) "
          + entry.sealed.base64EncodedString())
    }
    let body = lines.map { $0 + "\n" }.joined()
    return Array((body + mac(Data(body.utf8)) + "\n").utf8)
  }

  func open(_ reference: SecretReference) throws -> Secret? {
    guard let entry = entries[reference] else { return nil }
    let bound = VaultFile.binding(reference, version: entry.version)
    let dataKey = SymmetricKey(data: try VaultFile.unseal(entry.wrapped, with: entryKey, bound))
    return Secret(bytes: try VaultFile.unseal(entry.sealed, with: dataKey, bound))
  }

  mutating func put(_ secret: Secret, at reference: SecretReference) throws {
    entries[reference] = try sealed(secret, reference, version: (entries[reference]?.version ?? 0) + 1)
  }

  private func sealed(_ secret: Secret, _ reference: SecretReference, version: Int) throws -> Entry {
    let bound = VaultFile.binding(reference, version: version)
    let dataKey = SymmetricKey(size: .bits256)
    return Entry(
      version: version, wrapped: try wrap(dataKey, bound),
      sealed: try secret.withBytes { try ChaChaPoly.seal($0, using: dataKey, authenticating: bound).combined })
  }

  private func wrap(_ dataKey: SymmetricKey, _ bound: Data) throws -> Data {
    try dataKey.withUnsafeBytes { try ChaChaPoly.seal($0, using: entryKey, authenticating: bound).combined }
  }

  /// The same secrets under another key of the vault. No value is opened.
  func rewrapped(with key: VaultKey) throws -> VaultFile {
    var file = VaultFile(key: key)
    for (reference, entry) in entries {
      let bound = VaultFile.binding(reference, version: entry.version)
      let dataKey = SymmetricKey(data: try VaultFile.unseal(entry.wrapped, with: entryKey, bound))
      file.entries[reference] = Entry(
        version: entry.version, wrapped: try file.wrap(dataKey, bound), sealed: entry.sealed)
    }
    return file
  }

  private static func unseal(_ sealed: Data, with key: SymmetricKey, _ bound: Data) throws -> [UInt8] {
    Array(try ChaChaPoly.open(try ChaChaPoly.SealedBox(combined: sealed), using: key, authenticating: bound))
  }

  mutating func delete(_ reference: SecretReference) { entries[reference] = nil }

  private func mac(_ body: Data) -> String {
    "mac " + Hex.encode(Array(HMAC<SHA256>.authenticationCode(for: body, using: macKey)))
  }

  private static func binding(_ reference: SecretReference, version: Int, _ header: String = header) -> Data {
    Data("\(header)\n\(reference.text)\n\(version)".utf8)
  }
}
