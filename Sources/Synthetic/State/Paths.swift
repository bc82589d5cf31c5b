import Basics
import Foundation

/// Where an OpenClaw keeps its things, told by its environment.
///
/// `OPENCLAW_HOME` stands before `HOME`; `OPENCLAW_STATE_DIR` and `OPENCLAW_CONFIG_PATH` stand before both.
public struct OpenClawPaths: Sendable, Equatable {
  public let stateDirectory: String
  public let configFile: String
  public let home: String

  public init(environment: [String: String]) {
    func set(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    home = set("OPENCLAW_HOME") ?? set("HOME") ?? FileManager.default.currentDirectoryPath
    stateDirectory = set("OPENCLAW_STATE_DIR") ?? home + "/.openclaw"
    configFile = set("OPENCLAW_CONFIG_PATH") ?? stateDirectory + "/openclaw.json"
  }

  var pairedDevices: String { stateDirectory + "/devices/paired.json" }
  var pendingDevices: String { stateDirectory + "/devices/pending.json" }
  var identity: String { stateDirectory + "/identity/device.json" }
  var cronJobs: String { stateDirectory + "/cron/jobs.json" }
  var cronRuns: String { stateDirectory + "/cron/runs" }
  var sharedDatabase: String { stateDirectory + "/state/openclaw.sqlite" }
  var lock: String { stateDirectory + "/gateway.lock" }
  var faults: String { stateDirectory + "/synthetic-faults.json" }
  var configAudit: String { stateDirectory + "/logs/config-audit.jsonl" }
  var managedSkills: String { stateDirectory + "/skills" }

  func sessionsDirectory(agent: String) -> String { "\(stateDirectory)/agents/\(agent)/sessions" }
  func sessionsIndex(agent: String) -> String { sessionsDirectory(agent: agent) + "/sessions.json" }
  func transcript(agent: String, session: String) -> String {
    "\(sessionsDirectory(agent: agent))/\(session).jsonl"
  }
}

/// Reads and writes state files: directories 0700, files 0600, every write by rename.
enum StateFile {
  static func read(_ path: String) throws -> JSONValue? {
    guard let data = FileManager.default.contents(atPath: path) else { return nil }
    return try JSONValue(parsing: data)
  }

  static func write(_ value: JSONValue, to path: String) throws { try write(text: value.canonical + "\n", to: path) }

  static func write(text: String, to path: String) throws {
    try makeDirectory((path as NSString).deletingLastPathComponent)
    let scratch = path + ".tmp-" + Hex.encode([UInt8].random(count: 4))
    let made = FileManager.default.createFile(
      atPath: scratch, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
    guard made else { throw StateFailure.cannotWrite(path) }
    guard rename(scratch, path) == 0 else {
      unlink(scratch)
      throw StateFailure.cannotWrite(path)
    }
  }

  static func append(line: String, to path: String) throws {
    try makeDirectory((path as NSString).deletingLastPathComponent)
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw StateFailure.cannotWrite(path) }
    let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    try handle.write(contentsOf: Data((line + "\n").utf8))
  }

  static func makeDirectory(_ path: String) throws {
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }
}

enum StateFailure: Error, CustomStringConvertible {
  case cannotWrite(String)

  var description: String {
    switch self {
    case .cannotWrite(let path): "cannot write \(path): \(String(cString: strerror(errno)))"
    }
  }
}

/// The claim of one Gateway on a state directory.
///
/// The claim is the kernel's file lock, so the file that a crashed Gateway leaves holds nothing; the pid in it is
/// for people.
final class StateLock: Sendable {
  private let descriptor: Int32

  /// - Returns: nil when another Gateway holds the directory.
  init?(path: String) throws {
    try StateFile.makeDirectory((path as NSString).deletingLastPathComponent)
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw StateFailure.cannotWrite(path) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      return nil
    }
    self.descriptor = descriptor
    let note: JSONValue = ["pid": .integer(Int64(getpid()))]
    let bytes = Array((note.canonical + "\n").utf8)
    guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else {
      throw StateFailure.cannotWrite(path)
    }
  }

  deinit { close(descriptor) }
}
