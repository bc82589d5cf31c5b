import Basics

/// What a Connector tells of its Instances in one message: all of them again and again, and those that changed at
/// once. So one message serves many Instances, and nobody opens a stream for those that are well.
public struct Heartbeat: Codable, Sendable, Equatable {
  /// Instances that look alike: most of a Host's Instances do.
  public struct Group: Codable, Sendable, Equatable {
    public var facts: InstanceFacts
    public var instances: [InstanceID]

    public init(facts: InstanceFacts, instances: [InstanceID]) {
      self.facts = facts
      self.instances = instances
    }
  }

  public var groups: [Group]

  public init(groups: [Group]) { self.groups = groups }

  public init(_ facts: [InstanceID: InstanceFacts]) {
    groups = Dictionary(grouping: facts.keys) { facts[$0] }
      .compactMap { facts, instances in facts.map { Group(facts: $0, instances: instances.sorted()) } }
      .sorted { ($0.instances.first?.text ?? "") < ($1.instances.first?.text ?? "") }
  }
}

extension Heartbeat {
  /// The same in messages of at most so many Instances, so that none holds up what else the control stream carries.
  public func parts(instancesMax: Int = LinkLimits.heartbeatInstancesMax) -> [Heartbeat] {
    let pieces = groups.flatMap { group in
      stride(from: 0, to: group.instances.count, by: instancesMax).map { start in
        let end = min(start + instancesMax, group.instances.count)
        return Group(facts: group.facts, instances: Array(group.instances[start..<end]))
      }
    }
    var parts: [Heartbeat] = []
    var room = 0
    for piece in pieces {
      if parts.isEmpty || piece.instances.count > room {
        parts.append(Heartbeat(groups: []))
        room = instancesMax
      }
      parts[parts.count - 1].groups.append(piece)
      room -= piece.instances.count
    }
    return parts
  }
}

/// How one Instance looks from its own Host.
public struct InstanceFacts: Codable, Sendable, Hashable {
  /// What its port said to `/healthz`, asked on the Host itself.
  public enum Answer: String, Codable, Sendable, CaseIterable {
    /// `{"ok":true,"status":"live"}`.
    case live
    /// Something else than that.
    case wrong
    /// Nothing listens.
    case refused
    /// It listens and does not answer in time.
    case timeout
  }

  public var phase: RunState.Phase
  public var exitCode: Int32?
  public var outOfMemory: Bool
  /// Nil while it does not run.
  public var answer: Answer?
  /// Somebody else than AW changed its configuration since AW last asked for a start.
  public var configurationDrifted: Bool
  /// How the cloudflared is that the Host runs for it; nil when it runs none.
  public var tunnel: TunnelState.Phase?

  public init(
    phase: RunState.Phase, exitCode: Int32? = nil, outOfMemory: Bool = false, answer: Answer? = nil,
    configurationDrifted: Bool = false, tunnel: TunnelState.Phase? = nil
  ) {
    self.phase = phase
    self.exitCode = exitCode
    self.outOfMemory = outOfMemory
    self.answer = answer
    self.configurationDrifted = configurationDrifted
    self.tunnel = tunnel
  }

  /// It runs and answers, as AW started it, and so does its cloudflared, if there is one.
  public var isWell: Bool {
    phase == .running && answer == .live && !configurationDrifted && (tunnel ?? .up) == .up
  }
}
