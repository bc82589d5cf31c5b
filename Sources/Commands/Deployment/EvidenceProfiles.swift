import Access
import Evidence
import Fleet
import Hygiene

/// What each kind of evidence may hold, and which kinds introduce identities: said here, where every room is known.
///
/// A field that is not in the line of its kind is dropped before the entry is written. `parts` are taken whole, and a
/// `commitment` is a redactable field. Tests hold the kinds of the code, and what a real fleet writes, against this
/// table.
enum EvidenceProfiles {
  static let fields = FieldProfiles(
    """
    act.refused: kind word, code word, by word, reason text, permission word
    operator.invited: role word
    operator.sign-in-link-made operator.suspended session.ended:
    operator.signed-in operator.password-set: by word, password-cleared flag
    token.made: name word, role word, expires time, owner id
    token.revoked: name word
    org.created: slug word, sort word, name text
    host.invited: slug word, again flag
    host.enrolled: machine word
    host.connected: epoch number, slot number, connections number
    host.disconnected: loss id, class word, rule word, detail text, connections number, slot number
    host.path-degraded host.path-mended: loss id, class word, slot number, detail text
    loss.reclassified: loss id, from word, to word, rule word
    host.drained host.reopened: slug word
    host.removed: slug word, force flag, abandoned word
    instance.requested: slug word, org word, runtime word, operation id, digest digest
    instance.start-requested instance.stop-requested: slug word, operation id, digest digest
    instance.restart-requested: slug word, operation id, digest digest
    instance.removal-requested: slug word, purge flag, operation id
    instance.path-switched: slug word, from word, to word, target address, references reference, checks parts
    operation.step: operation word, step word, outcome word, detail parts, code word, message text
    operation.ended: operation word, outcome word
    instance.checked: verified flag, chain parts
    instance.status-changed: from word, to word, reason text, link word, chain parts
    instance.flapping-began: changes number, to word, reason text, chain parts
    instance.flapping-ended: to word
    fleet.disruption-began: cause word, reason text, lost number, instances number, of number, hosts number
    fleet.disruption-ended:
    fleet.scope-disruption-began: scope word, lost number, instances number
    fleet.scope-disruption-ended: scope word
    node.joined: gateway address, nodes number, node word
    node.lost: lost word, lostNode id, seenAt time, node word
    node.took-over: from word, reason word, hosts number, fleet flag, token number, node word
    authority.rotation-abandoned: trusted digest
    authority.rotated: step word, phase word, trusted digest, without word
    alert.endpoint-saved: kind word, target address, enabled flag, secrets reference
    alert.endpoint-removed alert.endpoint-tested alert.delivery-replayed:
    alert.route-saved: route word, matchers text, endpoints word
    alert.route-removed: route word
    alert.silence-made alert.silence-ended: sort word, matchers text, match parts, from time, until time, reason text
    onboarding.saved: slug word, version number, instance word, surfaces word, baseline reference, overlay parts
    onboarding.saved: contactName commitment, contactEmail commitment
    onboarding.held onboarding.released: slug word, version number, reason text
    onboarding.state-changed: from text, to parts, cause word
    baseline.exception-asked: slug word, version number, key word, value parts, reason text, until time
    baseline.exception-asked: owner commitment
    baseline.exception-approved: slug word, version number, key word, value parts, askedBy id
    baseline.exception-withdrawn: slug word, version number, key word
    handoff.exported: slug word, version number, document digest, desired digest, keys reference, digest digest
    handoff.completed: slug word, version number, document digest, signatures text
    credential.set: surface word, class word, gate word, reference reference, version number, vault word, key reference
    credential.set credential.rotated: fingerprint reference, link id, askedBy id, settings parts
    credential.rotated: surface word, class word, gate word, reference reference, version number, vault word
    credential.rotated: key reference, operation id, replaces number
    credential.retired: surface word, versions number
    credential.requested: surface word, class word, gate word, link id, until time, expires time
    credential.intake-reused: surface word, link id, code word, usedAt time, version number, frozen flag
    credential.unfrozen: surface word, version number
    credential.validated: surface word, version number, outcome word, reason text, identity text, status word
    credential.cross-org-asked: ids reference, count number, host id
    credential.removed: surface word, class word, gate word, reference reference, version number, vault word
    credential.removed: key reference, fingerprint reference, settings parts
    credential.sealing-key-rotated: key reference, former reference, formerOpensUntil time
    gate.requested gate.submitted gate.revoked: slug word, digest digest, class word, surfaces word, until time
    gate.requested gate.submitted gate.revoked: requester id, signedBy reference, reason text
    programme.packet-recorded programme.packet-amended: former digest, reason text
    programme.packet-recorded programme.packet-amended: entry id, sequence word, account id, packet digest
    programme.packet-proposed: entry id, sequence word, account id, packet digest
    programme.decided: entry id, sequence word, account id, packet digest, decision digest, keys reference
    programme.decided: gate word, result word
    programme.begun programme.finished: entry id, sequence word, account id, packet digest, decisions digest
    programme.checkpoint-recorded: entry id, sequence word, account id, packet digest, checkpoint number, digest digest
    programme.warned: entry id, sequence word, account id, packet digest, warning id
    programme.warning-resolved: entry id, sequence word, account id, packet digest, warning id, decision digest
    programme.warning-waived: entry id, sequence word, account id, packet digest, warning id, until time, reason text
    programme.superseded: entry id, sequence word, account id, packet digest, by word, reason text
    evidence.heartbeat: node word, number number, everySeconds number, phase word
    approval.rule-set: kind word, minutes number, separateExecutor flag, roles parts
    approval.rule-removed: kind word
    approval.requested: kind word, digest digest, requester word, expires time
    approval.given approval.refused: kind word, digest digest, note text
    approval.used: kind word, digest digest, requester word, approvers word
    emergency.opened: reason text, until time
    emergency.used: kind word, digest digest
    emergency.reviewed: note text
    evidence.withheld: entry number, kind word, found parts
    evidence.scanned: outcome word, verdict parts
    evidence.reviewed: entry number, reason text
    evidence.erased: entry number, field word, reason text
    """)

  static let identities = ProvenanceRegistry.Kinds(
    orgs: [EvidenceKind.orgCreated.id],
    others: Set(
      [
        EvidenceKind.hostInvited, .hostEnrolled, .instanceRequested, .operatorInvited, .signInLinkMade,
      ].map(\.id)))
}
