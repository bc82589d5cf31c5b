/// The steps that operations on an Instance are made of. Each may run twice, and `InstancePlan` says what follows what.
public enum InstanceStep: String, Codable, Sendable, CaseIterable {
  case secrets
  case prepare
  case start
  case ready
  case pair
  case verify
  case stop
  case remove
  case forget

  /// What a person reads while it runs.
  public var title: String {
    switch self {
    case .secrets: "Make its secrets"
    case .prepare: "Prepare it on the Host"
    case .start: "Start it"
    case .ready: "Wait until its Gateway is ready"
    case .pair: "Pair AW's device with the narrowest scopes"
    case .verify: "Verify the whole chain with a model turn"
    case .stop: "Stop it"
    case .remove: "Remove it from the Host"
    case .forget: "Forget its secrets and its record"
    }
  }
}

/// What can be done with an Instance, as a list of steps.
public enum InstancePlan: String, Codable, Sendable, CaseIterable {
  case provision = "instance.provision"
  case start = "instance.start"
  case stop = "instance.stop"
  case restart = "instance.restart"
  case remove = "instance.remove"

  /// What is done with the Instance, in paths and on buttons: `restart`.
  public var verb: String { String(rawValue.trimmingPrefix("instance.")) }

  public var steps: [InstanceStep] {
    switch self {
    case .provision: [.secrets, .prepare, .start, .ready, .pair, .verify]
    // Prepared anew, because a credential may have another version by now.
    case .start: [.prepare, .start, .ready, .verify]
    case .stop: [.stop]
    // Prepared anew, so that it starts with what its Org's baseline asks for by now. Before it is stopped, so that what
    // cannot be prepared goes on running.
    case .restart: [.prepare, .stop, .start, .ready, .verify]
    case .remove: [.remove, .forget]
    }
  }

  /// Whether the Instance may be asked for it now: a pure decision. Nil lets it pass.
  public func refusal(of state: Instance.State, slug: String) -> (what: String, next: String)? {
    switch (self, state) {
    case (.start, .active), (.start, .stopped), (.stop, .active), (.stop, .stopped), (.restart, .active),
      (.restart, .stopped), (.remove, .active), (.remove, .stopped), (.remove, .failed), (.remove, .removing):
      nil
    case (_, .provisioning):
      ("'\(slug)' is still being provisioned.", "Wait until it is done: 'aw instance show \(slug)'.")
    case (_, .failed):
      ("'\(slug)' was never made: its provisioning failed and was undone.", "Create it again, or remove the record.")
    case (_, .removing):
      ("'\(slug)' is being removed.", "Wait until that is done, or run the removal again.")
    case (.provision, _):
      ("'\(slug)' is there already.", "Choose another name.")
    }
  }
}
