//! The services: how many instances each has, and what their names resolve to.

use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::addresses::Addresses;
use super::dns::Names;
use super::instance::{Instance, InstanceInfo, Kind};
use super::{Error, Scale, StartProxy};

const KINDS: [Kind; 2] = [
    Kind {
        name: "service1",
        number: 1,
        bootstrap: include_str!("../../examples/front_proxy/service-envoy.yaml"),
    },
    Kind {
        name: "service2",
        number: 2,
        bootstrap: include_str!("../../examples/front_proxy/service-envoy-2.yaml"),
    },
];

/// So many addresses fit into a DNS answer of 512 bytes, which every resolver takes.
const MOST: usize = 25;

/// How long an instance that left DNS still serves as before: the front proxy looks names up every
/// second, and an answer may be a TTL of a second old.
const FOLLOW: Duration = Duration::from_millis(2500);

/// Everything behind the front proxy.
#[derive(Debug)]
pub(super) struct Services<P> {
    proxy: P,
    names: Names,
    service_port: u16,
    services: [Service; KINDS.len()],
    /// Instances that left DNS and will stop.
    leaving: Mutex<JoinSet<()>>,
    closing: watch::Sender<bool>,
}

#[derive(Debug)]
struct Service {
    kind: Kind,
    addresses: Addresses,
    /// Locked while it is scaled: a second command waits for the first.
    instances: Mutex<Vec<Instance>>,
}

impl<P: StartProxy> Services<P> {
    pub(super) fn new(proxy: P, names: Names, service_port: u16) -> Self {
        Self {
            proxy,
            names,
            service_port,
            services: KINDS.map(|kind| Service {
                kind,
                addresses: Addresses::new(kind.number),
                instances: Mutex::default(),
            }),
            leaving: Mutex::default(),
            closing: watch::Sender::new(false),
        }
    }

    pub(super) fn proxy(&self) -> &P {
        &self.proxy
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        KINDS.into_iter().map(|kind| kind.name)
    }

    pub(super) async fn instances(&self) -> Vec<InstanceInfo> {
        let mut all = Vec::new();
        for service in &self.services {
            all.extend(infos(&service.instances.lock().await));
        }
        all
    }

    /// Whether `scale` can be asked for.
    pub(super) fn check(&self, scale: &Scale) -> Result<(), Error> {
        self.service(scale).map(drop)
    }

    /// Starts or stops instances until a service has as many as it shall; returns them.
    pub(super) async fn scale(&self, scale: &Scale) -> Result<Vec<InstanceInfo>, Error> {
        let service = self.service(scale)?;
        let mut instances = service.instances.lock().await;
        let mut more = Vec::new();
        while instances.len() + more.len() < scale.instances {
            match self.start_instance(service).await {
                Ok(instance) => more.push(instance),
                Err(error) => {
                    for instance in more {
                        instance.stop().await;
                    }
                    return Err(error);
                }
            }
        }
        instances.extend(more);
        // The newest go, as with compose.
        let keep = scale.instances.min(instances.len());
        let fewer = instances.split_off(keep);

        // One change of the answer for all of them; whoever goes leaves the answer first.
        let addresses = instances.iter().map(Instance::address).collect();
        self.names.set(service.kind.name, addresses);
        for instance in fewer {
            self.let_go(instance).await;
        }
        Ok(infos(&instances))
    }

    /// Stops all instances. There is no scaling after that.
    pub(super) async fn stop(&self) {
        self.closing.send_replace(true);
        let mut leaving = self.leaving.lock().await;
        for service in &self.services {
            for instance in service.instances.lock().await.drain(..) {
                leaving.spawn(instance.stop());
            }
        }
        while leaving.join_next().await.is_some() {}
    }

    fn service(&self, scale: &Scale) -> Result<&Service, Error> {
        let Some(service) = self.services.iter().find(|s| s.kind.name == scale.service) else {
            let known: Vec<_> = self.names().collect();
            return Err(Error::Scale(format!(
                "there is no service `{}`; there are {}",
                scale.service,
                known.join(" and ")
            )));
        };
        if scale.instances > MOST {
            return Err(Error::Scale(format!(
                "{} instances of {} are too many; the most is {MOST}",
                scale.instances, scale.service
            )));
        }
        Ok(service)
    }

    async fn start_instance(&self, service: &Service) -> Result<Instance, Error> {
        let address = service.addresses.lease().ok_or_else(|| {
            Error::Scale("all addresses are taken by instances that still stop".to_owned())
        })?;
        Instance::start(service.kind, address, self.service_port, &self.proxy).await
    }

    /// Stops an instance that is no longer in DNS, once the front proxy has noticed.
    async fn let_go(&self, instance: Instance) {
        let mut closing = self.closing.subscribe();
        let mut leaving = self.leaving.lock().await;
        while leaving.try_join_next().is_some() {}
        leaving.spawn(async move {
            // An error of `wait_for` means that all of this is gone: the same as closing.
            tokio::select! {
                () = tokio::time::sleep(FOLLOW) => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
            instance.stop().await;
        });
    }
}

fn infos(instances: &[Instance]) -> Vec<InstanceInfo> {
    instances.iter().map(|i| i.info().clone()).collect()
}
