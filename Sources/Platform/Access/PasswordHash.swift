import Basics
import Crypto
import CryptoExtras
import Foundation

/// What one password hash costs (RFC 7914): 128 × r × 2^ln bytes of memory, p times the work.
public struct ScryptCost: Sendable, Hashable {
  /// The logarithm of N.
  public let ln: Int
  public let r: Int
  public let p: Int

  public init(ln: Int, r: Int = 8, p: Int = 1) {
    self.ln = ln
    self.r = r
    self.p = p
  }

  /// 64 MiB, and 220 ms of one core of the machine it was measured on.
  public static let standard = ScryptCost(ln: 16)

  /// Bounds for what is read back, so that a changed database cannot ask for any amount of memory.
  var isSane: Bool { (4...18).contains(ln) && (1...16).contains(r) && (1...4).contains(p) }
}

/// A stored password: `$scrypt$ln=16,r=8,p=1$<salt>$<hash>`, both in base64url without padding.
struct PasswordHash: Sendable, Hashable {
  static let saltBytes = 16
  static let hashBytes = 32

  let cost: ScryptCost
  let salt: [UInt8]
  let hash: [UInt8]

  var text: String {
    "$scrypt$ln=\(cost.ln),r=\(cost.r),p=\(cost.p)$\(Base64URL.encode(salt))$\(Base64URL.encode(hash))"
  }

  init(cost: ScryptCost, salt: [UInt8], hash: [UInt8]) {
    self.cost = cost
    self.salt = salt
    self.hash = hash
  }

  /// Nil for a text that is no stored password.
  init?(_ text: String) {
    guard let match = text.wholeMatch(of: /\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,2}),p=([0-9])\$([^$]+)\$([^$]+)/),
      let ln = Int(match.1), let r = Int(match.2), let p = Int(match.3),
      let salt = Base64URL.decode(String(match.4)), let hash = Base64URL.decode(String(match.5)),
      salt.count == PasswordHash.saltBytes, hash.count == PasswordHash.hashBytes
    else { return nil }
    let cost = ScryptCost(ln: ln, r: r, p: p)
    guard cost.isSane else { return nil }
    self.init(cost: cost, salt: salt, hash: hash)
  }

  /// Hashes a password. Takes the time and memory of `cost`: never call it on an event loop or the shared pool.
  static func make(_ password: Secret, cost: ScryptCost, salt: [UInt8]) throws -> PasswordHash {
    let key = try KDF.Scrypt.deriveKey(
      from: PasswordRule.normalised(password), salt: salt, outputByteCount: hashBytes, rounds: 1 << cost.ln,
      blockSize: cost.r, parallelism: cost.p,
      // BoringSSL counts its own buffers too; twice the matrix is enough for any cost that `isSane`.
      maxMemory: 256 * cost.r * (1 << cost.ln) * cost.p)
    return PasswordHash(cost: cost, salt: salt, hash: key.withUnsafeBytes { Array($0) })
  }

  func matches(_ password: Secret) throws -> Bool {
    let other = try PasswordHash.make(password, cost: cost, salt: salt)
    return Secret(bytes: other.hash).equals(Secret(bytes: hash))
  }
}
