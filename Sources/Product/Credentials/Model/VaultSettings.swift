import Basics
import Foundation

/// The vaults beside the sealed file, as the file of `aw serve --vaults` names them. The words are those of OpenClaw's
/// `secrets.providers`, where they say the same.
public struct VaultSettings: Sendable, Equatable {
  /// Where `aw credential set` puts values; nil is the sealed file.
  public let writes: String?
  public let vaults: [String: Kind]

  public enum Kind: Sendable, Equatable {
    /// Variables of the control plane's own environment, and only those that are named.
    case env(allowlist: [String])
    case file(path: String, isJSON: Bool)
    /// A program that speaks OpenClaw's exec protocol.
    case exec(command: String, arguments: [String], environment: [String: String], passes: [String])
    case kv(KVSettings)
    case aws(AWSSettings)

    var isWritable: Bool {
      switch self {
      case .kv, .aws: true
      case .env, .file, .exec: false
      }
    }
  }

  /// The name of the embedded vault.
  public static let sealed = "sealed"

  public static let none = VaultSettings(writes: nil, vaults: [:])

  init(writes: String?, vaults: [String: Kind]) {
    self.writes = writes
    self.vaults = vaults
  }

  /// - Throws: `vaultSettings`, with the vault and the member that is wrong.
  public init(parsing bytes: [UInt8]) throws(AWError) {
    guard let document = try? JSONValue(parsing: bytes), let members = document["vaults"]?.objectValue else {
      throw VaultSettings.wrong("it is no JSON document with an object 'vaults'")
    }
    guard members.count <= CredentialLimits.vaultsMax else {
      throw VaultSettings.wrong("it names more than \(CredentialLimits.vaultsMax) vaults")
    }
    var vaults: [String: Kind] = [:]
    for (name, value) in members.sorted(by: { $0.key < $1.key }) {
      guard name.wholeMatch(of: /[a-z][a-z0-9_-]{0,63}/) != nil, name != VaultSettings.sealed else {
        throw VaultSettings.wrong("\(name.quoted) cannot be a vault's name")
      }
      vaults[name] = try VaultSettings.kind(value, name)
    }
    writes = document["writes"]?.stringValue
    if let writes, writes != VaultSettings.sealed, vaults[writes]?.isWritable != true {
      throw VaultSettings.wrong("'writes' names \(writes.quoted), which is no vault that can be written to")
    }
    self.vaults = vaults
  }

  private static func kind(_ value: JSONValue, _ name: String) throws(AWError) -> Kind {
    func text(_ member: String) throws(AWError) -> String {
      guard let text = value[member]?.stringValue, !text.isEmpty else {
        throw wrong("the vault \(name.quoted) has no \(member.quoted)")
      }
      return text
    }
    func texts(_ member: String) -> [String] { value[member]?.arrayValue?.compactMap(\.stringValue) ?? [] }
    switch value["source"]?.stringValue {
    case "env":
      guard !texts("allowlist").isEmpty else {
        throw wrong("the vault \(name.quoted) has no 'allowlist': AW reads only variables that are named")
      }
      return .env(allowlist: texts("allowlist"))
    case "file":
      let mode = value["mode"]?.stringValue ?? "json"
      guard mode == "json" || mode == "singleValue" else {
        throw wrong("the vault \(name.quoted) has the mode \(mode.quoted), neither json nor singleValue")
      }
      return .file(path: try absolute(try text("path"), name), isJSON: mode == "json")
    case "exec":
      let environment = (value["env"]?.objectValue ?? [:]).compactMapValues(\.stringValue)
      return .exec(
        command: try absolute(try text("command"), name), arguments: texts("args"), environment: environment,
        passes: texts("passEnv"))
    case "kv":
      return .kv(
        try KVSettings(
          name: name, address: try text("address"), mount: try text("mount"), prefix: try text("prefix"),
          namespace: value["namespace"]?.stringValue, roleID: try text("roleId"),
          secretIDFile: try absolute(try text("secretIdFile"), name), caFile: value["caFile"]?.stringValue))
    case "aws":
      return .aws(
        try AWSSettings(
          name: name, region: try text("region"), endpoint: value["endpoint"]?.stringValue,
          prefix: try text("prefix"), credentialsFile: try absolute(try text("credentialsFile"), name),
          caFile: value["caFile"]?.stringValue))
    case let source:
      throw wrong("the vault \(name.quoted) has the source \((source ?? "").quoted), not env, file, exec, kv or aws")
    }
  }

  private static func absolute(_ path: String, _ name: String) throws(AWError) -> String {
    guard path.hasPrefix("/") else { throw wrong("the vault \(name.quoted) names \(path.quoted), no absolute path") }
    return path
  }

  /// The address of a vault, without a slash at its end.
  static func address(_ text: String, _ name: String) throws(AWError) -> String {
    guard let url = URL(string: text), let host = url.host(), url.query() == nil, url.user() == nil,
      url.scheme == "https" || (url.scheme == "http" && ["127.0.0.1", "localhost", "[::1]", "::1"].contains(host))
    else {
      throw wrong(
        "the vault \(name.quoted) has the address \(text.quoted): https://…, or http:// on this machine's loopback")
    }
    return text.hasSuffix("/") ? String(text.dropLast()) : text
  }

  static func wrong(_ what: String) -> AWError {
    AWError(
      .vaultSettings, "The file of vaults cannot be used: \(what).", next: "docs/onboarding.md has the form of each.")
  }
}

/// Where a HashiCorp Vault or OpenBao is, and how AW signs in there.
public struct KVSettings: Sendable, Equatable {
  let name: String
  /// Without a slash at its end.
  let address: String
  let mount: String
  /// The folder of the mount that is AW's.
  let prefix: String
  let namespace: String?
  let roleID: String
  /// A file with the secret id alone.
  let secretIDFile: String
  let caFile: String?

  /// - Throws: `vaultSettings`.
  init(
    name: String, address: String, mount: String, prefix: String, namespace: String?, roleID: String,
    secretIDFile: String, caFile: String?
  ) throws(AWError) {
    self.address = try VaultSettings.address(address, name)
    guard KVSettings.isPath(mount), KVSettings.isPath(prefix) else {
      throw VaultSettings.wrong("the vault \(name.quoted) has a 'mount' or 'prefix' that is no path")
    }
    self.name = name
    self.mount = mount
    self.prefix = prefix
    self.namespace = namespace
    self.roleID = roleID
    self.secretIDFile = secretIDFile
    self.caFile = caFile
  }

  /// Parts of letters, digits and `._-`, so that nothing has to be escaped in a URL; no part is `.` or `..`.
  static func isPath(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    return parts.allSatisfy { $0.wholeMatch(of: /[A-Za-z0-9_-][A-Za-z0-9._-]*/) != nil }
  }
}
