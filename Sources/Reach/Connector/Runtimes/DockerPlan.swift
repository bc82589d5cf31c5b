import Basics
import Crypto
import Foundation
import Link
import OpenClaw

/// What the engine is asked for, as values: the hardening profile of `openclaw fleet` with limits by `InstanceSpec`.
enum DockerPlan {
  enum Label {
    static let instance = "aw.instance"
    static let org = "aw.org"
    /// Tells the Instances of this Connector from those of another on the same engine.
    static let directory = "aw.directory"
    /// A digest of everything that a container is made from; another one means: make it anew.
    static let specDigest = "aw.spec-digest"
  }

  /// The port inside the container: the image's health check has it hard-coded.
  static let gatewayPort = 18_789
  static let home = "/home/node"
  static let state = home + "/.openclaw"
  static let keys = home + "/.config/openclaw"
  /// Where the socket of its secrets and the program for them lie.
  static let secrets = "/run/aw"
  /// The image's own user `node`.
  static let imageUser = FileOwner(user: 1_000, group: 1_000)
  /// OpenClaw ends itself after 25 s; Docker's own 10 s would cut that short.
  static let stopSeconds: Int64 = 30

  static func name(_ slug: Slug) -> String { "aw-" + slug.text }

  static func labels(_ entry: InstanceShelf.Entry) -> [String: String] {
    [
      Label.instance: entry.record.spec.instance.text, Label.org: entry.record.spec.org.text,
      Label.directory: entry.directory.path,
    ]
  }

  static func network(_ entry: InstanceShelf.Entry) -> JSONValue {
    [
      "Name": .string(name(entry.record.spec.slug)), "Driver": "bridge", "CheckDuplicate": true,
      "Labels": .object(labels(entry).mapValues { .string($0) }),
    ]
  }

  /// What an image says that matters here.
  struct Image: Sendable, Equatable {
    var id: String
    var hasCommand: Bool
  }

  /// The body of `POST /containers/create`, labels included.
  ///
  /// - Parameters:
  ///   - user: nil leaves the image's own user.
  ///   - processors: those of the Host; the engine refuses a limit above them.
  ///   - resolvesSecrets: whether the Connector has made the directory for its secrets.
  static func container(
    _ entry: InstanceShelf.Entry, image: Image, environment: [String: Secret], user: FileOwner?, processors: Int,
    resolvesSecrets: Bool = false
  ) -> JSONValue {
    let spec = entry.record.spec
    var body: [String: JSONValue] = [
      "Image": .string(image.id),
      "Env": .array(variables(environment, resolvesSecrets: resolvesSecrets).map { .string($0) }),
      "ExposedPorts": [portKey: [:]],
      "StopSignal": "SIGTERM",
      "StopTimeout": .integer(stopSeconds),
      "Tty": false,
      "HostConfig": .object(hostConfiguration(entry, processors: processors, resolvesSecrets)),
      "NetworkingConfig": ["EndpointsConfig": .object([name(spec.slug): [:]])],
    ]
    if !image.hasCommand {
      body["Cmd"] = [
        "node", "dist/index.js", "gateway", "--bind", "lan", "--port", .string(String(gatewayPort)),
      ]
    }
    if let user { body["User"] = .string("\(user.user):\(user.group)") }
    // The Instance's id salts the digest, so that equal secrets of two Instances do not show as equal.
    let digest = SHA256.hex(Array((spec.instance.text + JSONValue.object(body).canonical).utf8))
    let labels = labels(entry).merging([Label.specDigest: digest]) { _, last in last }
    body["Labels"] = .object(labels.mapValues { .string($0) })
    return .object(body)
  }

  private static var portKey: String { "\(gatewayPort)/tcp" }

  private static func hostConfiguration(
    _ entry: InstanceShelf.Entry, processors: Int, _ resolvesSecrets: Bool
  ) -> [String: JSONValue] {
    let limits = entry.record.spec.limits
    let cpus = min(limits.cpusMax, Double(processors))
    return [
      "CapDrop": ["ALL"],
      "SecurityOpt": ["no-new-privileges"],
      "Privileged": false,
      "Init": true,
      "PidsLimit": .integer(limits.pidsMax),
      "Memory": .integer(limits.memoryBytesMax),
      "NanoCpus": .integer(Int64((cpus * 1e9).rounded())),
      "NetworkMode": .string(name(entry.record.spec.slug)),
      "PortBindings": [
        portKey: [["HostIp": "127.0.0.1", "HostPort": .string(String(entry.record.port))]]
      ],
      // Docker would restart a refused configuration (78) for ever; the Connector's supervisor decides instead.
      "RestartPolicy": ["Name": "no"],
      "ExtraHosts": ["host.docker.internal:host-gateway"],
      "LogConfig": ["Type": "json-file", "Config": ["max-size": "10m", "max-file": "2"]],
      "Mounts": .array(mounts(entry, resolvesSecrets)),
    ]
  }

  private static func mounts(_ entry: InstanceShelf.Entry, _ resolvesSecrets: Bool) -> [JSONValue] {
    let own: [JSONValue] = [
      ["Type": "bind", "Source": .string(entry.directory.state), "Target": .string(state)],
      ["Type": "bind", "Source": .string(entry.directory.keys), "Target": .string(keys)],
    ]
    guard resolvesSecrets else { return own }
    // The directory, because the socket in it is made anew with every Connector.
    return own + [
      ["Type": "bind", "Source": .string(entry.directory.secrets), "Target": .string(secrets), "ReadOnly": true]
    ]
  }

  /// The variables pinned by OpenClaw's own compose file and fleet; they win over given ones.
  private static func variables(_ given: [String: Secret], resolvesSecrets: Bool) -> [String] {
    var own = [
      "HOME": home,
      "OPENCLAW_HOME": home,
      "OPENCLAW_STATE_DIR": state,
      "OPENCLAW_CONFIG_PATH": state + "/openclaw.json",
      "OPENCLAW_GATEWAY_PORT": String(gatewayPort),
      "OPENCLAW_NO_RESPAWN": "1",
      "OPENCLAW_SUPERVISOR_MODE": "external",
      "OPENCLAW_DISABLE_BONJOUR": "1",
      "OPENCLAW_NO_AUTO_UPDATE": "1",
    ]
    if resolvesSecrets { own[InstanceConfiguration.secretsVariable] = secrets }
    return given.merging(own.mapValues { Secret($0) }) { _, ours in ours }
      .map { key, value in value.withText { "\(key)=\($0)" } }
      .sorted()
  }

  /// What `State` of an inspected container says.
  static func observation(_ container: JSONValue, launch: String?) -> Observation {
    let state = container["State"]
    let started = DockerEngine.timestamp(state?["StartedAt"]?.stringValue)
    if state?["Running"]?.boolValue == true {
      return .running(
        RunHandle(
          launch: launch ?? "found-" + (state?["StartedAt"]?.stringValue ?? ""),
          containerID: container["Id"]?.stringValue, startedAt: started))
    }
    guard let ended = DockerEngine.timestamp(state?["FinishedAt"]?.stringValue) else { return .absent }
    let ran = started.map { ended.since($0) } ?? .zero
    return .ended(
      InstanceExit(
        code: state?["ExitCode"]?.intValue.flatMap { Int32(exactly: $0) },
        outOfMemory: state?["OOMKilled"]?.boolValue ?? false, at: ended, ranMilliseconds: max(0, ran.milliseconds)))
  }

  /// Takes the frames apart in which the engine sends the output of a container without terminal: a byte for the
  /// stream, three zero bytes, the length in four bytes, big-endian.
  static func text(ofFrames bytes: [UInt8]) -> Data {
    var text = Data()
    var index = 0
    while index + 8 <= bytes.count {
      let length = bytes[(index + 4)..<(index + 8)].reduce(0) { $0 << 8 | Int($1) }
      let end = min(bytes.count, index + 8 + length)
      text.append(contentsOf: bytes[(index + 8)..<end])
      index = end
    }
    return text
  }
}
