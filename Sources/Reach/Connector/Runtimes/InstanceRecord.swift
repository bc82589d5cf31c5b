import Basics
import Link

/// `instance.json`: what the Connector knows of one Instance, kept over its own restarts. It holds no secret.
struct InstanceRecord: Codable, Sendable, Equatable {
  enum Desired: String, Codable, Sendable {
    case stopped
    case running
  }

  /// The image that the Instance is pinned to, until its specification names another reference.
  struct Image: Codable, Sendable, Equatable {
    var reference: String
    /// The engine's own id of the image, `sha256:…`.
    var id: String
    /// The registry's digest when the engine knows one, else the id.
    var digest: String
  }

  /// One start. It is written before the process is made, so that no process is ever unknown.
  struct Launch: Codable, Sendable, Equatable {
    /// Random; the process carries it in its environment.
    var id: String
    var at: Timestamp
    /// The kernel's boot id: process ids mean nothing after a reboot.
    var boot: String?
    var processID: Int32?
    /// When the kernel made the process, in clock ticks since boot: tells it from a later one with the same id.
    var startTicks: UInt64?
  }

  var version = 1
  var spec: InstanceSpec
  var port: Int
  var desired: Desired = .stopped
  /// False once removed with its data kept.
  var installed = true
  /// SHA-256 of the `openclaw.json` that AW wrote last.
  var configurationDigest: String?
  /// SHA-256 of the `openclaw.json` that was there when AW last asked for a start: whoever wrote it, it was accepted.
  var acceptedConfiguration: String?
  var launch: Launch?
  var lastExit: InstanceExit?
  var restarts = 0
  var image: Image?
  var containerID: String?

  init(spec: InstanceSpec, port: Int) {
    self.spec = spec
    self.port = port
  }
}

/// How an Instance ended.
struct InstanceExit: Codable, Sendable, Equatable {
  /// 128 + the signal when one ended it; nil when nobody could tell.
  var code: Int32?
  var outOfMemory = false
  var at: Timestamp
  /// Whole milliseconds from start to end.
  var ranMilliseconds: Int64

  /// OpenClaw's own word for "do not start me again": a configuration it refuses, a newer schema, a second Gateway.
  static let refusalCode: Int32 = 78

  var ranFor: Duration { .milliseconds(ranMilliseconds) }
}
