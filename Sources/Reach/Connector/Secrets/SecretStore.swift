import Basics
import Crypto
import Foundation
import Link

/// The cache on the disk of the Host, sealed under a key that follows from the Host's own: it survives the Connector,
/// and means nothing to another Host, or to whoever has the file alone.
struct SecretStore: Sendable {
  private struct Row: Codable {
    let org: Slug
    let id: String
    let value: Data?
    let readAt: Timestamp
  }

  let path: String
  private let key: SymmetricKey

  /// - Parameter directory: where the Host's identity is kept.
  init(directory: String, key: Secret) {
    path = directory + "/secrets.sealed"
    self.key = key.withBytes {
      HKDF<SHA256>.deriveKey(
        inputKeyMaterial: SymmetricKey(data: $0), info: Array("aw/host/secrets".utf8), outputByteCount: 32)
    }
  }

  func load() throws -> SecretCache {
    guard let bytes = try DurableFile.read(path) else { return SecretCache() }
    let plain = try AES.GCM.open(try AES.GCM.SealedBox(combined: bytes), using: key)
    let rows = try JSONDecoder().decode([Row].self, from: plain)
    return SecretCache(
      Dictionary(
        rows.map { row in
          let value = row.value.map { Secret(bytes: Array($0)) }
          return (SecretCache.Key(org: row.org, id: row.id), .init(value: value, readAt: row.readAt))
        }, uniquingKeysWith: { _, last in last }))
  }

  func save(_ cache: SecretCache) throws {
    let rows = cache.entries.map { key, entry in
      Row(org: key.org, id: key.id, value: entry.value?.withBytes { Data($0) }, readAt: entry.readAt)
    }
    let sealed = try AES.GCM.seal(try JSONEncoder().encode(rows), using: key)
    guard let combined = sealed.combined else { return }
    try DurableFile.write(Array(combined), to: path)
  }
}
