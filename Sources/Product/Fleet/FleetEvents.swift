import Basics
import Events
import Link
import Store

extension EventType {
  public static let instanceStatusChanged = EventType("aw.instance.status-changed")
  public static let instanceFlapping = EventType("aw.instance.flapping")
  public static let hostConnectionLost = EventType("aw.host.connection-lost")
  public static let lossReclassified = EventType("aw.loss.reclassified")
  public static let fleetDisruption = EventType("aw.fleet.disruption")
  public static let scopeDisruption = EventType("aw.scope.disruption")
  public static let nodeLost = EventType("aw.node.lost")
  public static let watchdogHeartbeat = EventType("aw.watchdog.heartbeat")

  /// Every type that the fleet tells of.
  public static let fleet: [EventType] = [
    .instanceStatusChanged, .instanceFlapping, .hostConnectionLost, .lossReclassified, .fleetDisruption,
    .scopeDisruption, .nodeLost, .watchdogHeartbeat,
  ]
}

/// What the fleet tells of, as events: values in, an event out.
enum FleetEvents {
  /// The names that people know an Instance by.
  struct Names: Sendable, Equatable {
    let org: Slug?
    let host: Slug?

    init(of instance: Instance, in tx: Transaction) throws {
      org = try FleetRecords.org(instance.org, in: tx)?.slug
      host = try FleetRecords.host(instance.host, in: tx)?.slug
    }

    init(org: Slug?, host: Slug?) {
      self.org = org
      self.host = host
    }
  }

  static func scope(_ host: HostID) -> String { "host/\(host)" }
  static let fleetScope = "fleet"

  /// A hard change of an Instance's status.
  ///
  /// - Parameters:
  ///   - hard: what it is now.
  ///   - reading: why.
  static func statusChanged(
    _ instance: Instance, _ names: Names, to hard: Status, _ reading: StatusReading, code: String?, at now: Timestamp
  ) -> Event {
    // What was asked for is no news, whoever asked.
    let isAsked = instance.state != .active && hard != .degraded
    let isOpen = hard != .current && !isAsked
    let isDrift = code == ErrorCode.gatewayDrifted.id
    var data = about(instance, names)
    data["status"] = .string(hard.rawValue)
    data["reason"] = .string(reading.reason)
    data["cause"] = reading.link.map { .string($0.rawValue) } ?? .null
    data["primaryCause"] =
      reading.link.map { link in
        .string(PrimaryCause.of(link, code.map { .init(code: $0, message: reading.reason, next: "") }).rawValue)
      } ?? .null
    data["code"] = code.map { .string($0) } ?? .null
    if isOpen { data[EventData.runbook] = .string(isDrift ? "instance-drifted" : "instance-\(hard.rawValue)") }
    let title =
      isOpen
      ? "\(instance.slug) is \(hard.rawValue): \(reading.reason)"
      : "\(instance.slug) is \(isAsked ? instance.state.words : "current again")."
    return Event(
      id: "instance/\(instance.id)/status/\(now.millisecondsSince1970)", type: .instanceStatusChanged,
      subject: "instance/\(instance.id)", time: now, org: instance.org.text, severity: severity(hard),
      condition: .init(key: "instance/\(instance.id)/status", isOpen: isOpen), title: title, data: .object(data))
  }

  /// An Instance is gone: whatever was open of it is over.
  static func removed(_ instance: Instance, _ names: Names, at now: Timestamp) -> [Event] {
    ["status", "flapping"].map { kind in
      Event(
        id: "instance/\(instance.id)/\(kind)/removed", type: .instanceStatusChanged,
        subject: "instance/\(instance.id)", time: now, org: instance.org.text, severity: .info,
        condition: .init(key: "instance/\(instance.id)/\(kind)", isOpen: false), title: "\(instance.slug) was removed.",
        data: .object(about(instance, names)))
    }
  }

  static func flapping(_ instance: Instance, _ names: Names, began: Bool, at now: Timestamp) -> Event {
    var data = about(instance, names)
    data[EventData.runbook] = "instance-flapping"
    let title =
      began
      ? "\(instance.slug) flaps: its status changed more than \(Flapping.changesMax) times in "
        + "\(Flapping.within.words)."
      : "\(instance.slug) is calm again."
    return Event(
      id: "instance/\(instance.id)/flapping/\(now.millisecondsSince1970)", type: .instanceFlapping,
      subject: "instance/\(instance.id)", time: now, org: instance.org.text, severity: .warning,
      condition: .init(key: "instance/\(instance.id)/flapping", isOpen: began), title: title, data: .object(data))
  }

  private static func about(_ instance: Instance, _ names: Names) -> [String: JSONValue] {
    [
      "instance": .string(instance.slug.text), "host": .string(names.host?.text ?? ""),
      EventData.org: .string(names.org?.text ?? ""), EventData.page: .string("/instances/\(instance.slug)"),
      EventData.scopes: .array(([fleetScope] + instance.member.scopes.map(\.text)).map { .string($0) }),
    ]
  }

  private static func severity(_ status: Status) -> EventSeverity {
    switch status {
    case .unreachable: .critical
    case .degraded, .unknown: .warning
    case .current, .stale: .info
    }
  }

  // MARK: - Hosts

  /// A Host has had no link for so long that it is no hiccup: its Instances are not told of one by one.
  static func connectionLost(_ host: Host, since: Timestamp, instances: Int, at now: Timestamp) -> Event {
    Event(
      id: "host/\(host.id)/link/\(since.millisecondsSince1970)", type: .hostConnectionLost,
      subject: "host/\(host.id)", time: now, org: nil, severity: .critical,
      condition: .init(key: "host/\(host.id)/link", isOpen: true),
      title: "The Host \(host.slug) has had no link for \(now.since(since).words), with \(instances) Instances on it.",
      data: [
        "host": .string(host.slug.text), "class": .string(host.lastLoss ?? LossClass.unknown.rawValue),
        "instances": .integer(Int64(instances)), EventData.page: .string("/hosts/\(host.slug)"),
        EventData.inhibits: .string(scope(host.id)), EventData.scopes: [.string(fleetScope)],
        EventData.runbook: "host-connection-lost",
      ])
  }

  static func connectionRestored(_ host: Host, why: String, at now: Timestamp) -> Event {
    Event(
      id: "host/\(host.id)/link/\(now.millisecondsSince1970)/up", type: .hostConnectionLost,
      subject: "host/\(host.id)", time: now, org: nil, severity: .info,
      condition: .init(key: "host/\(host.id)/link", isOpen: false), title: "The Host \(host.slug) \(why).",
      data: ["host": .string(host.slug.text), EventData.page: .string("/hosts/\(host.slug)")])
  }

  static func reclassified(_ loss: Loss, from first: LossClass, host: Host, at now: Timestamp) -> Event {
    Event(
      id: "loss/\(loss.id)/reclassified", type: .lossReclassified, subject: "host/\(host.id)", time: now, org: nil,
      severity: .info, condition: nil,
      title: "A loss of \(host.slug) was \(loss.verdict.lossClass.rawValue), not \(first.rawValue).",
      data: [
        "host": .string(host.slug.text), "loss": .string(loss.id.text), "from": .string(first.rawValue),
        "to": .string(loss.verdict.lossClass.rawValue), EventData.page: .string("/hosts/\(host.slug)"),
      ])
  }

  // MARK: - The fleet

  /// Which control plane believes so: each judges what it watches itself.
  static let byNode = "node"

  /// What a control plane told of that is gone: whoever watches now judges anew, and tells again if it is still so.
  static func over(_ open: Event, at now: Timestamp) -> Event {
    var event = open
    event.id += "/over"
    event.time = now
    event.severity = .info
    event.condition?.isOpen = false
    event.title = "What a control plane that is gone told of is judged anew."
    event.data = .object((open.data.objectValue ?? [:]).filter { $0.key != EventData.runbook })
    return event
  }

  /// The Watchdog doubts itself, or believes what it sees again.
  static func disruption(_ doubt: SelfDoubt?, lost: Int, by node: NodeID, at now: Timestamp) -> Event {
    var data: [String: JSONValue] = [EventData.page: "/", byNode: .string(node.text)]
    if let doubt {
      data["cause"] = .string(doubt.cause.rawValue)
      data["lost"] = .integer(Int64(lost))
      data[EventData.inhibits] = .string(fleetScope)
      data[EventData.runbook] = "fleet-disruption"
    }
    return Event(
      id: "fleet/disruption/\(node)/\(now.millisecondsSince1970)", type: .fleetDisruption, subject: fleetScope,
      time: now,
      org: nil, severity: .critical, condition: .init(key: "fleet/disruption/\(node)", isOpen: doubt != nil),
      title: doubt?.reason ?? "The Watchdog believes what it sees again.", data: .object(data))
  }

  /// Much of what shares a Host or a release was lost together: one event stands for all of it.
  ///
  /// - Parameters:
  ///   - name: of the scope, for people.
  ///   - lost: how many of how many; nil when it is over.
  static func scopeDisruption(
    _ scope: DisruptionScope, name: String, lost: (count: Int, of: Int)?, by node: NodeID, at now: Timestamp
  ) -> Event {
    var data: [String: JSONValue] = [
      "scope": .string(scope.text), EventData.page: "/", EventData.scopes: [.string(fleetScope)],
      byNode: .string(node.text),
    ]
    if let lost {
      data["lost"] = .integer(Int64(lost.count))
      data["instances"] = .integer(Int64(lost.of))
      data[EventData.inhibits] = .string(scope.text)
      data[EventData.runbook] = "scope-disruption"
    }
    let title =
      lost.map { "\($0.count) of \($0.of) Instances \(name) were lost at once." }
      ?? "Most Instances \(name) are back."
    return Event(
      id: "\(scope.text)/disruption/\(node)/\(now.millisecondsSince1970)", type: .scopeDisruption, subject: scope.text,
      time: now, org: nil, severity: .critical,
      condition: .init(key: "\(scope.text)/disruption/\(node)", isOpen: lost != nil), title: title, data: .object(data))
  }

  /// A control plane of several is gone, or is back: the others watch what it watched.
  static func node(_ node: NodeRoll.Node, isLost: Bool, why: String, at now: Timestamp) -> Event {
    var data: [String: JSONValue] = ["node": .string(node.name), EventData.page: "/"]
    if isLost { data[EventData.runbook] = "node-lost" }
    return Event(
      id: "node/\(node.id)/\(node.run)/\(node.beat)/\(isLost ? "lost" : "over")", type: .nodeLost,
      subject: "node/\(node.id)", time: now, org: nil, severity: .warning,
      condition: .init(key: "node/\(node.id)/lost", isOpen: isLost),
      title: isLost
        ? "The control plane \(node.name) is gone: the others watch what it watched."
        : "The control plane \(node.name) \(why).",
      data: .object(data))
  }

  /// Sent while the Watchdog lives: whoever misses it knows that nobody watches.
  static func heartbeat(_ instances: Int, at now: Timestamp) -> Event {
    Event(
      id: "watchdog/heartbeat/\(now.millisecondsSince1970)", type: .watchdogHeartbeat, subject: fleetScope, time: now,
      org: nil, severity: .info, condition: nil, title: "The Watchdog watches \(instances) Instances.",
      data: ["instances": .integer(Int64(instances)), EventData.runbook: "watchdog-silent"])
  }
}

extension EventOutbox {
  /// Ends whatever is open of an Instance that is going.
  func appendRemoval(of instance: Instance, at now: Timestamp, in tx: Transaction) throws {
    let names = try FleetEvents.Names(of: instance, in: tx)
    for event in FleetEvents.removed(instance, names, at: now) { try append(event, in: tx) }
  }
}
