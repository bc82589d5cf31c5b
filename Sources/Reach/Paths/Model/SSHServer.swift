import Basics
import Crypto
import Foundation

/// The ssh server of a Host, and the keys that prove it.
public struct SSHServer: Codable, Sendable, Equatable {
  public static let hostKeysMax = 8

  /// A name or an address.
  public let address: String
  public let port: Int
  public let user: String
  /// Type and key of each, as in a `known_hosts` file: `ssh-ed25519 AAAA…`.
  public let hostKeys: [String]

  /// - Parameter hostKeys: as `ssh-keyscan` or the `.pub` files of `/etc/ssh` give them; names and comments fall away.
  /// - Throws: `pathInvalid` for what ssh could read as something else than an address, a user or a key.
  public init(address: String, port: Int = 22, user: String, hostKeys: String) throws(AWError) {
    guard SSHServer.isName(address, also: ".:-_"), address.utf8.count <= 253 else {
      throw PathErrors.invalid("The address \(address.quoted) of the ssh server is none.")
    }
    guard (1...65_535).contains(port) else { throw PathErrors.invalid("The port \(port) of the ssh server is none.") }
    guard SSHServer.isName(user, also: ".-_"), user.utf8.count <= 64 else {
      throw PathErrors.invalid("The user \(user.quoted) of the ssh server is none.")
    }
    self.address = address
    self.port = port
    self.user = user
    self.hostKeys = try SSHServer.keys(hostKeys)
  }

  /// Letters, digits and some more, beginning with a letter or digit, so that it never looks like an option.
  private static func isName(_ text: String, also more: String) -> Bool {
    func isPlain(_ character: Character) -> Bool {
      character.isASCII && (character.isLetter || character.isNumber)
    }
    // `::1` and `_user` begin otherwise, and neither looks like an option.
    guard let first = text.first, isPlain(first) || first == ":" || first == "_" else { return false }
    return text.allSatisfy { isPlain($0) || more.contains($0) }
  }

  private static func keys(_ text: String) throws(AWError) -> [String] {
    var keys: [String] = []
    for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
      let words = line.split(separator: " ").map(String.init)
      guard let type = words.firstIndex(where: { isKeyType($0) }), words.count > type + 1, type <= 1,
        isKey(words[type + 1], of: words[type])
      else { throw PathErrors.invalid("A line of the host keys is no public key.") }
      keys.append(words[type] + " " + words[type + 1])
    }
    guard (1...hostKeysMax).contains(keys.count) else {
      throw PathErrors.invalid("An ssh server has 1 to \(hostKeysMax) host keys to be known by, not \(keys.count).")
    }
    return keys
  }

  private static func isKeyType(_ word: String) -> Bool {
    word.hasPrefix("ssh-") || word.hasPrefix("ecdsa-sha2-") || word.hasPrefix("sk-")
  }

  /// A public key begins with the length and the text of its own type.
  private static func isKey(_ word: String, of type: String) -> Bool {
    guard let blob = Data(base64Encoded: word) else { return false }
    return blob.dropFirst(4).starts(with: Data(type.utf8)) && blob.prefix(4) == Data([0, 0, 0, UInt8(type.utf8.count)])
  }

  /// `aw@10.0.0.7:22`, for people.
  public var text: String { "\(user)@\(address.contains(":") ? "[\(address)]" : address):\(port)" }

  /// The keys as `ssh-keygen -lf` shows them.
  public var fingerprints: [String] {
    hostKeys.compactMap { key in
      guard let blob = key.split(separator: " ").last.flatMap({ Data(base64Encoded: String($0)) }) else { return nil }
      let digest = Data(SHA256.hash(data: blob)).base64EncodedString()
      return "SHA256:" + digest.replacing("=", with: "")
    }
  }
}

/// What ssh is called with. The files lie in a folder of the forward's own; no argument holds a secret.
enum SSHCommand {
  /// The name that the host keys are recorded under, whatever the address is.
  static let alias = "aw-host"

  static func knownHosts(_ server: SSHServer) -> String {
    server.hostKeys.map { "\(alias) \($0)\n" }.joined()
  }

  /// - Parameter port: of the Instance, on the Host's loopback.
  static func arguments(_ server: SSHServer, port: Int, folder: SSHFolder) -> [String] {
    // The end of the control plane is the end of ssh, however it ends.
    ["--pdeathsig", "TERM", "--", "ssh", "-N", "-F", "/dev/null"]
      + options(folder).flatMap { ["-o", $0] }
      + [
        "-i", folder.key, "-p", String(server.port), "-l", server.user,
        "-L", "\(folder.socket):127.0.0.1:\(port)", "--", server.address,
      ]
  }

  private static func options(_ folder: SSHFolder) -> [String] {
    [
      "BatchMode=yes", "StrictHostKeyChecking=yes", "UserKnownHostsFile=\"\(folder.knownHosts)\"",
      "GlobalKnownHostsFile=/dev/null", "HostKeyAlias=\(alias)", "CheckHostIP=no", "UpdateHostKeys=no",
      "VerifyHostKeyDNS=no", "PreferredAuthentications=publickey", "IdentitiesOnly=yes", "IdentityAgent=none",
      "ForwardAgent=no", "ControlMaster=no", "ControlPath=none", "PermitLocalCommand=no", "LogLevel=INFO",
      "ConnectTimeout=\(Int(PathLimits.sshConnectWithin.seconds))", "ExitOnForwardFailure=yes",
      "ServerAliveInterval=5", "ServerAliveCountMax=2", "StreamLocalBindMask=0177", "StreamLocalBindUnlink=yes",
    ]
  }
}

/// Where the files of one forward lie.
struct SSHFolder: Sendable {
  let path: String

  var socket: String { path + "/s" }
  var key: String { path + "/key" }
  var knownHosts: String { path + "/known" }
}
