import Basics
import Crypto
import Foundation
import Link

/// Where one Instance lives on its Host: `<data>/instances/<slug>/`.
///
/// - `state/`: OpenClaw's own state directory, `openclaw.json` in it, and `workspace/policy.jsonc`.
/// - `keys/`: the home directory of the Instance; `keys/.config/openclaw/` holds the key of the auth profiles, apart
///   from the state that it seals.
/// - `environment`: the variables, secrets included; nothing else on the disk of the Host holds them.
/// - `secrets/`: the socket at which its secrets are resolved, and the program that OpenClaw runs for it.
/// - `instance.json`: the Connector's record. `output.log`, `output.log.1`: what the Instance printed.
struct InstanceDirectory: Sendable, Equatable {
  let path: String

  var state: String { path + "/state" }
  var configuration: String { state + "/openclaw.json" }
  var home: String { path + "/keys" }
  var keys: String { home + "/.config/openclaw" }
  var environment: String { path + "/environment" }
  var secrets: String { path + "/secrets" }
  var secretSocket: String { secrets + "/socket" }
  var secretProgram: String { secrets + "/aw-secret-exec" }
  /// Whether the Connector resolves secrets for it.
  var resolvesSecrets: Bool { access(secretProgram, F_OK) == 0 }
  /// OpenClaw's own place for what its agent reads and writes, below `state`.
  var workspace: String { state + "/workspace" }
  static let policyName = "policy.jsonc"
  var record: String { path + "/instance.json" }
  var output: String { path + "/output.log" }

  /// Makes what is missing and corrects the modes. `owner` gets `state` and `keys`, the rest stays the Connector's.
  func make(owner: FileOwner?) throws {
    // Another user must be able to pass through to its own two directories; it still cannot list this one.
    try DurableFile.makeDirectory(path, mode: owner == nil ? 0o700 : 0o711)
    try DurableFile.makeDirectory(state, mode: 0o700, owner: owner)
    try DurableFile.makeDirectory(home, mode: 0o700, owner: owner)
    try DurableFile.makeDirectory(home + "/.config", mode: 0o700, owner: owner)
    try DurableFile.makeDirectory(keys, mode: 0o700, owner: owner)
  }

  func load() throws -> InstanceRecord? {
    guard let bytes = try DurableFile.read(record) else { return nil }
    do {
      return try JSONDecoder().decode(InstanceRecord.self, from: Data(bytes))
    } catch {
      throw AWError(
        .runtimeFailed, "The record \(record) is damaged.",
        next: "Restore it from a backup, or move the directory away and provision the Instance again.", cause: error)
    }
  }

  func save(_ value: InstanceRecord) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try DurableFile.write(Array(encoder.encode(value)), to: record)
  }

  func save(environment values: [String: Secret]) throws {
    try EnvironmentFile.check(values)
    let bytes = Array(EnvironmentFile.text(values).utf8)
    if try DurableFile.read(environment) == bytes { return }
    try DurableFile.write(bytes, to: environment)
  }

  func loadEnvironment() throws -> [String: Secret] {
    guard let bytes = try DurableFile.read(environment) else { return [:] }
    return EnvironmentFile.values(String(decoding: bytes, as: UTF8.self))
  }

  /// SHA-256 of `openclaw.json` as it is; nil when it is missing.
  func configurationNow() throws -> String? { try DurableFile.read(configuration).map { SHA256.hex($0) } }

  /// Writes `openclaw.json` when that is AW's to do, and returns the digest to record. Of a file that is somebody
  /// else's only what is pinned is set.
  func save(
    configuration text: String, pinned: [String: JSONValue], recorded: String?, owner: FileOwner?
  ) throws -> String? {
    let bytes = try DurableFile.read(configuration)
    let (found, wanted) = (bytes.map { SHA256.hex($0) }, SHA256.hex(Array(text.utf8)))
    switch ConfigurationDecision.decide(found: found, recorded: recorded, wanted: wanted) {
    case .write(let digest):
      try DurableFile.write(Array(text.utf8), to: configuration, owner: owner)
      return digest
    case .keep(let digest):
      if let bytes, let mended = PinnedConfiguration.mended(bytes, pinned) {
        try DurableFile.write(Array(mended.utf8), to: configuration, owner: owner)
      }
      return digest
    }
  }
}

extension InstanceDirectory {
  /// Writes `policy.jsonc` where `openclaw policy check` reads it. It is AW's own: whoever changed it, it is set again.
  func save(policy text: String, owner: FileOwner?) throws {
    // The directory is in the Instance's hands: through its descriptor no link in its place leads anywhere else.
    let isNew = mkdir(workspace, 0o700) == 0
    let descriptor = open(workspace, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { throw AWError.file(workspace, errno, doing: "opened") }
    defer { close(descriptor) }
    if isNew, let owner, fchown(descriptor, owner.user, owner.group) != 0 {
      throw AWError.file(workspace, errno, doing: "given away")
    }
    if try has(policy: text) { return }
    try DurableFile.write(Array(text.utf8), to: "/proc/self/fd/\(descriptor)/" + Self.policyName, owner: owner)
  }

  /// Whether `policy.jsonc` is this one. What is no plain file of the same length is not even read.
  func has(policy text: String) throws -> Bool {
    let (path, bytes) = (workspace + "/" + Self.policyName, Array(text.utf8))
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size == bytes.count else {
      return false
    }
    return try DurableFile.read(path) == bytes
  }

  /// What is not as the specification has it: pinned paths of `openclaw.json`, and `policy.jsonc`.
  ///
  /// - Parameter configuration: the content of `openclaw.json`.
  func departures(_ configuration: [UInt8], from spec: InstanceSpec) throws -> [String] {
    let paths = PinnedConfiguration.departures(configuration, spec.pinned ?? [:])
    let isKept = try spec.policy.map { try has(policy: $0) } ?? true
    return paths + (isKept ? [] : [Self.policyName])
  }
}

/// Whether AW may write `openclaw.json`: OpenClaw and its operator own the file once they changed it.
enum ConfigurationDecision: Equatable {
  /// Write, and record this digest.
  case write(String)
  /// Leave the file, and record this digest.
  case keep(String?)

  /// - Parameters:
  ///   - found: the digest of the file, nil when it is missing.
  ///   - recorded: the digest of what AW wrote last.
  ///   - wanted: the digest of what AW would write.
  static func decide(found: String?, recorded: String?, wanted: String) -> ConfigurationDecision {
    guard let found else { return .write(wanted) }
    // Also after a crash between writing the file and recording it.
    if found == wanted { return .keep(wanted) }
    return found == recorded ? .write(wanted) : .keep(recorded)
  }
}

extension InstanceRecord {
  /// Whether somebody else than AW changed the configuration since AW last asked for a start.
  ///
  /// - Parameter found: the digest of the file, nil when it is missing.
  func hasDrifted(found: String?) -> Bool {
    guard let acceptedConfiguration else { return false }
    return found != acceptedConfiguration && found != configurationDigest
  }
}

/// `KEY=VALUE` lines; in values `\` and line ends are written `\\`, `\n`, `\r`, so that every value is one line.
enum EnvironmentFile {
  static func text(_ values: [String: Secret]) -> String {
    values.sorted { $0.key < $1.key }
      .map { key, value in
        let escaped = value.withText {
          $0.replacing("\\", with: "\\\\").replacing("\n", with: "\\n").replacing("\r", with: "\\r")
        }
        return "\(key)=\(escaped)\n"
      }
      .joined()
  }

  static func values(_ text: String) -> [String: Secret] {
    var values: [String: Secret] = [:]
    for line in text.split(separator: "\n") {
      guard let equals = line.firstIndex(of: "=") else { continue }
      values[String(line[..<equals])] = Secret(unescaped(line[line.index(after: equals)...]))
    }
    return values
  }

  private static func unescaped(_ value: Substring) -> String {
    var text = ""
    var escaping = false
    for character in value.unicodeScalars {
      if escaping {
        text.unicodeScalars.append(character == "n" ? "\n" : character == "r" ? "\r" : character)
        escaping = false
      } else if character == "\\" {
        escaping = true
      } else {
        text.unicodeScalars.append(character)
      }
    }
    return text
  }

  /// - Throws: `usage` for a name or a value that no environment can hold. The text never holds a value.
  static func check(_ values: [String: Secret]) throws {
    var total = 0
    for (key, value) in values {
      guard key.wholeMatch(of: /[A-Za-z_][A-Za-z0-9_]*/) != nil else {
        throw AWError.spec(
          "The environment variable \(key.quoted) has a name that cannot be used.",
          next: "Use letters, digits and '_', not starting with a digit.")
      }
      let (count, hasZero) = value.withBytes { ($0.count, $0.contains(0)) }
      total += count + key.utf8.count + 2
      if hasZero || count > RuntimeLimits.environmentValueBytesMax {
        throw AWError.spec(
          "The environment variable \(key) has a value that cannot be used.",
          next: "Use at most \(RuntimeLimits.environmentValueBytesMax) bytes, none of them zero.")
      }
    }
    if total > RuntimeLimits.environmentBytesMax {
      throw AWError.spec(
        "The environment has \(total) bytes, more than \(RuntimeLimits.environmentBytesMax).",
        next: "Pass large values as files in the Instance's state directory.")
    }
  }
}
